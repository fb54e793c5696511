"""What a browser asks for, as the commands that a user would type for it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..applications.registry import Application, Input, find_application
from ..errors import InputError, expect
from .selections import mask_of_selection
from .store import Store

RESULT, REPORT, COMPOSITE, MASK = "result.png", "result.json", "composite.png", "mask.png"
COMPARED = ("composite", "image", "content")  # inputs that a result is compared with, the first that there is


@dataclass(frozen=True)
class Order:
    """A run that can be made in a folder of its own.

    Attributes:
        application, preset: their names.
        commands: lists of arguments of `reproduce`, one after the other; the last is the application's.
        copies: name in the folder -> file that is to be there.
        before: the file there that the result is compared with.
    """

    application: str
    preset: str
    commands: list[list[str]]
    copies: dict[str, Path]
    before: str

    def fill(self, folder: Path) -> None:
        """Put what is needed into a folder."""
        for name, path in self.copies.items():
            shutil.copyfile(path, folder / name)  # no link: who edits the copy of one run is not to change others'


def order(asked: dict[str, Any], store: Store) -> Order:
    """The order for what is asked for.

    Args:
        asked: "application", "preset", "settings" (name -> value), "inputs" (name -> what is put in: a "picture" or a
            "selection" by its name, lists of such, corners, or numbers); in place of a composite and its mask "paste",
            which is what `pasted` takes.

    Raises:
        InputError: something that is needed is missing, or a setting is not allowed.
    """
    application = find_application(str(asked.get("application")))
    preset, settings = str(asked.get("preset")), changed(asked)
    application.preset(preset, **settings)
    copies: dict[str, Path] = {}
    commands: list[list[str]] = []
    given = dict(asked.get("inputs") or {})
    if "paste" in given:
        commands.append(_paste_command(given, copies, store))
    words = [application.name]
    for entry in sorted(application.inputs, key=lambda entry: entry.option):
        words += _input_words(entry, given, copies, store)
    _expect_parts(application, given)
    words += ["-o", RESULT, "--preset", preset]
    for name, value in settings.items():
        words += _setting_words(name, value)
    names = [Path(word).name for word in words]
    before = next(name for wanted in COMPARED for name in names if Path(name).stem == wanted)
    return Order(application.name, preset, [*commands, words], copies, before)


def changed(asked: dict[str, Any]) -> dict[str, Any]:
    """The settings that are asked for; what is several comes as a list from JSON."""
    settings = asked.get("settings") or {}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def pasted(given: dict[str, Any], store: Store) -> tuple[Path, Path, Path, tuple]:
    """The background, the object, its mask, and where it goes: the arguments of the library's `paste` as files."""
    entry = given["paste"]
    place = (tuple(map(float, entry["at"])), float(entry["scale"]), float(entry["rotate"]), bool(entry["mirror"]))
    picture, mask = store.picture(entry["object"]), mask_of_selection(store, entry["selection"])
    return _file(given, "background", store), picture, mask, place


def _paste_command(given: dict[str, Any], copies: dict[str, Path], store: Store) -> list[str]:
    """The command that makes composite and mask; from here on they are inputs like others."""
    background, picture, mask, ((x, y), scale, rotate, mirror) = pasted(given, store)
    names = [f"background{background.suffix}", f"object{picture.suffix}", "object_mask.png"]
    copies |= dict(zip(names, (background, picture, mask)))
    given |= {"composite": {"made": COMPOSITE}, "mask": {"made": MASK}}
    words = ["paste", *names, f"--at={x:.10g},{y:.10g}", "--scale", f"{scale:.10g}", "--rotate", f"{rotate:.10g}"]
    return [*words, *(["--mirror"] if mirror else []), "-o", COMPOSITE, "--mask-output", MASK]


def _input_words(entry: Input, given: dict[str, Any], copies: dict[str, Path], store: Store) -> list[str]:
    """An input as it is typed; nothing where it is not given."""
    value = given.get(entry.name)
    if value in (None, [], ""):
        expect(not entry.required or entry.group, f"{entry.help}", "nothing")
        return []
    option = ["--" + entry.name.replace("_", "-")] if entry.option else []
    if entry.kind == "corners":
        return [*option, *(f"{float(x):.10g},{float(y):.10g}" for x, y in value)]
    if entry.kind == "numbers":
        return [*option, ",".join(f"{float(number):.10g}" for number in value)]
    if entry.kind == "images":
        return [*option, *(_copied(f"{entry.name}_{n}", one, copies, store) for n, one in enumerate(value, start=1))]
    if entry.kind == "pairs":
        words = []
        for number, (style, mask) in enumerate(value, start=1):
            words += [*option, _copied(f"{entry.name}_{number}", style, copies, store),
                      _copied(f"{entry.name}_{number}_mask", mask, copies, store)]  # fmt: skip
        return words
    return [*option, _copied(entry.name, value, copies, store)]


def _copied(name: str, value: dict[str, Any], copies: dict[str, Path], store: Store) -> str:
    """The name in the run's folder of what is put in."""
    if "made" in value:
        return value["made"]
    path = _path(value, store)
    copies[name + path.suffix] = path
    return name + path.suffix


def _file(given: dict[str, Any], name: str, store: Store) -> Path:
    expect(given.get(name), name, "nothing")
    return _path(given[name], store)


def _path(value: dict[str, Any], store: Store) -> Path:
    if "selection" in value:
        return mask_of_selection(store, value["selection"])
    return store.picture(value.get("picture"))


def _expect_parts(application: Application, given: dict[str, Any]) -> None:
    """Raises InputError where of the inputs of a group not exactly one is given."""
    groups: dict[str, list[str]] = {}
    for entry in application.inputs:
        if entry.group:
            groups.setdefault(entry.group, []).append(entry.name)
    for names in groups.values():
        found = [name for name in names if given.get(name)]
        if len(found) != 1:
            raise InputError(f"Expected one of {', '.join(names)}. Received: {', '.join(found) or 'none'}")


def _setting_words(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    words = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return [f"--{option}={words}"]
