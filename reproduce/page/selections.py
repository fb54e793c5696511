"""Selections: a mask that is made in steps, each of which can be gone back to. The steps are files."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ..errors import expect
from . import desk
from .store import Store, read_json, write_json

Ask = Callable[..., Awaitable[Any]]  # a function of the desk, and its arguments -> what it returns
MOST_STEPS = 100


async def begin(store: Store, ask: Ask, picture: object) -> dict[str, Any]:
    """A new selection in a picture."""
    path, folder = store.picture(picture), store.new("selection")
    said = await ask(desk.begin_selection, path, folder / "0.png")
    state = {"picture": picture, "steps": [{"number": 0, **said}], "position": 0, "next": 1}
    return _kept(folder, state)


def look(store: Store, name: object) -> dict[str, Any]:
    """A selection as it is."""
    folder = store.folder("selection", name)
    return _told(folder, read_json(folder / "selection.json"))


async def change(store: Store, ask: Ask, name: object, operation: dict[str, Any]) -> dict[str, Any]:
    """Do something: "undo", "redo", or an operation of the desk; with "again" in place of the last one.

    Raises:
        InputError: it cannot be done, or selects nothing; the selection stays as it was.
    """
    folder = store.folder("selection", name)
    state = read_json(folder / "selection.json")
    steps, position, kind = state["steps"], state["position"], operation.get("kind")
    if kind in ("undo", "redo"):
        state["position"] = max(position - 1, 0) if kind == "undo" else min(position + 1, len(steps) - 1)
        return _kept(folder, state)
    again = bool(operation.get("again")) and position > 0
    base = position - 1 if again else position
    if kind == "mask":
        entry = read_json(store.folder("picture", operation.get("picture")) / "picture.json")
        operation = {**operation, "file": str(store.picture(operation["picture"])), "name": entry["name"]}
    number, before = state["next"], folder / f"{steps[base]['number']}.png"
    said = await ask(desk.select_step, store.picture(state["picture"]), before, folder / f"{number}.png", operation)
    kept = [*steps[: base + 1], {"number": number, **said}]
    for step in {entry["number"] for entry in steps} - {entry["number"] for entry in kept[-MOST_STEPS:]}:
        for path in (folder / f"{step}.png", folder / f"{step}_shown.png"):
            path.unlink(missing_ok=True)
    kept = kept[-MOST_STEPS:]
    return _kept(folder, {**state, "steps": kept, "position": len(kept) - 1, "next": number + 1})


def mask_of_selection(store: Store, name: object) -> Path:
    """The file of the mask as it is.

    Raises:
        InputError: nothing is selected.
    """
    folder = store.folder("selection", name)
    state = read_json(folder / "selection.json")
    step = state["steps"][state["position"]]
    expect(step["largest"] >= 0.5, "a selection of something", "nothing is selected yet")
    return folder / f"{step['number']}.png"


def _kept(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    write_json(folder / "selection.json", state)
    return _told(folder, state)


def _told(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What a browser is told of a selection."""
    position, steps = state["position"], state["steps"]
    step = steps[position]
    return {
        "id": folder.name,
        "picture": state["picture"],
        "step": step["number"],
        "share": step["share"],
        "empty": step["largest"] < 0.5,
        "can_undo": position > 0,
        "can_redo": position < len(steps) - 1,
    }
