"""Runs: a queue on disk, and one process at a time that computes. A run is commands in a folder of its own.

What a run is stands in its `run.json`, which is written whole or not at all, so neither a reload of the page nor the
end of the server loses one. What was computing when the server ended is called interrupted, and can be run again.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from ..applications.registry import find_application
from ..errors import InputError, expect
from .orders import COMPOSITE, MASK, REPORT, RESULT, Order
from .store import Store, read_json, write_json

PROGRAM = (sys.executable, "-m", "reproduce")
# A run's folder is the current one, where Python does not find a checkout's package.
PACKAGE_PLACE = str(Path(__file__).parents[2])
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [PACKAGE_PLACE, os.environ.get("PYTHONPATH")]))}
CURRENT, LOG = "current.png", "log.txt"
PATIENCE = 60  # seconds in which a run that is asked to stop keeps what it has
LOWER_PRIORITY = 5  # of what computes: the page is to answer meanwhile
OUT_OF_MEMORY = "out of memory, it seems: lower the scale, or choose a smaller picture or region"


class Runs:
    """All runs of a folder; `start` begins to compute those that wait.

    Args:
        store: where they are.
        program: what is run with a command's arguments.
    """

    def __init__(self, store: Store, program: tuple[str, ...] = PROGRAM):
        self.store, self.program = store, program
        self.changed = Condition()
        self.progress: dict[str, dict[str, Any]] = {}
        self.process: subprocess.Popen | None = None
        self.is_closing = False
        self.thread = Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Say of what was computing when the last server ended that it was interrupted, and go on with the queue."""
        for folder in self.store.runs():
            run = read_json(folder / "run.json")
            if run["state"] == "computing":
                kept = (folder / RESULT).exists() and (folder / REPORT).exists()
                message = "The server ended while this was computing"
                state = ("stopped", f"{message}: the best so far was kept.") if kept else ("interrupted", f"{message}.")
                self._save(run, *state)
        self.thread.start()

    def close(self) -> None:
        """Stop what computes, which keeps what it has, and begin nothing more."""
        with self.changed:
            self.is_closing = True
            self._signal(signal.SIGTERM)
            self.changed.notify_all()
        self.thread.join(PATIENCE)
        self._signal(signal.SIGKILL)

    def add(self, order: Order, name: str) -> dict[str, Any]:
        """A run more in the queue."""
        folder = self.store.new("run")
        try:
            order.fill(folder)
            run = {
                "id": folder.name,
                "name": name,
                "application": order.application,
                "preset": order.preset,
                "commands": order.commands,
                "before": order.before,
                "inputs": sorted(order.copies),
                "created": time.time(),
            }
            self._save(run, "queued", "")
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self.changed:
            self.changed.notify_all()
        return self.look(folder.name)

    def again(self, name: str, preset: str | None) -> dict[str, Any]:
        """A copy of a run in the queue, with another preset if one is given."""
        folder = self.store.folder("run", name)
        run = read_json(folder / "run.json")
        commands = run["commands"]
        if preset is not None:
            find_application(run["application"]).preset(preset)
            commands = [*commands[:-1], _with_preset(commands[-1], preset)]
        copies = {file: folder / file for file in run["inputs"]}
        order = Order(run["application"], preset or run["preset"], commands, copies, run["before"])
        return self.add(order, run["name"])

    def stop(self, name: str) -> dict[str, Any]:
        """Stop a run, which keeps its best so far; one that waits is taken out of the queue."""
        with self.changed:
            run = read_json(self.store.folder("run", name) / "run.json")
            if run["state"] == "computing":
                self.progress[name]["stopping"] = True
                self._signal(signal.SIGTERM)
            elif run["state"] == "queued":
                self._save(run, "stopped", "It was taken out of the queue before it began.")
        return self.look(name)

    def remove(self, name: str) -> None:
        """Remove a run and all its files.

        Raises:
            InputError: it is computing.
        """
        with self.changed:
            folder = self.store.folder("run", name)
            state = read_json(folder / "run.json")["state"]
            expect(state != "computing", "a run that is not computing", "one that is: stop it first")
            shutil.rmtree(folder)

    def all(self) -> list[dict[str, Any]]:
        """All runs, the newest first."""
        found = []
        for folder in self.store.runs():
            with contextlib.suppress(InputError, OSError):  # removed meanwhile
                found.append(self.look(folder.name))
        return found

    def look(self, name: str) -> dict[str, Any]:
        """A run, what of its files is there, and how far it is."""
        folder = self.store.folder("run", name)
        run = read_json(folder / "run.json")
        names = {"result": RESULT, "report": REPORT, "composite": COMPOSITE, "mask": MASK, "log": LOG}
        names |= {"stylized": "result_stylized.png"}
        files = {what: file for what, file in names.items() if (folder / file).exists()}
        progress = dict(self.progress.get(name, {}))  # a copy: it goes on meanwhile
        progress = {key: value for key, value in progress.items() if key not in ("losses", "notices")}
        before = run["before"] if (folder / run["before"]).exists() else run["inputs"][0]  # until it is pasted
        words = ["reproduce"]
        if self.program != PROGRAM or not shutil.which("reproduce"):  # such as a checkout that is not installed
            words = ["env", f"PYTHONPATH={PACKAGE_PLACE}", *self.program]
        typed = "\n".join(shlex.join([*words, *arguments]) for arguments in run["commands"])
        place = shlex.quote(str(folder.resolve()))
        with contextlib.suppress(FileNotFoundError):  # there is none yet, or none any more
            progress["current"] = (folder / CURRENT).stat().st_mtime_ns
        return run | {"before": before, "files": files, "progress": progress, "typed": f"cd {place}\n{typed}"}

    def story(self, name: str) -> dict[str, Any]:
        """The "losses" and "notices" of a run, as they came; of one that an earlier server computed, its report's."""
        folder, progress = self.store.folder("run", name), self.progress.get(name)
        if progress is None and (folder / REPORT).exists():
            report = read_json(folder / REPORT)
            return {"losses": [entry["loss"] for entry in report["trace"]], "notices": report.get("notices", [])}
        progress = progress or {}
        return {key: list(progress.get(key, [])) for key in ("losses", "notices")}

    def _save(self, run: dict[str, Any], state: str, message: str, **more: Any) -> None:
        run |= {"state": state, "message": message, **more}
        write_json(self.store.root / run["id"] / "run.json", run)

    def _signal(self, number: int) -> None:
        """Send a signal to what computes, if anything does."""
        if self.process is not None:
            self.process.send_signal(number)

    def _work(self) -> None:
        """One run after the other, the oldest first, until the server ends."""
        while True:
            with self.changed:
                while (run := self._next()) is None and not self.is_closing:
                    self.changed.wait()
                if run is None or self.is_closing:
                    return
                self._save(run, "computing", "", started=time.time())
                self.progress[run["id"]] = {"losses": [], "notices": []}
            try:
                state, message = self._compute(run)
            except Exception as error:  # a full disk, a program that is not there: the others may do better
                state, message = "failed", f"It could not be run: {error}"
            with contextlib.suppress(OSError):
                self._save(run, state, message, ended=time.time())

    def _next(self) -> dict[str, Any] | None:
        for folder in reversed(self.store.runs()):
            run = read_json(folder / "run.json")
            if run["state"] == "queued":
                return run
        return None

    def _compute(self, run: dict[str, Any]) -> tuple[str, str]:
        """Run the commands one after the other; the state that this ends in, and what there is to say."""
        folder, progress = self.store.root / run["id"], self.progress[run["id"]]
        last = len(run["commands"]) - 1
        for number, arguments in enumerate(run["commands"]):
            shown = ["--progress", "json", "--current", CURRENT] if number == last else []
            code = self._execute([*arguments, *shown], folder, progress)
            if code != 0:
                (folder / CURRENT).unlink(missing_ok=True)
                return _ending(code, folder)
        (folder / CURRENT).unlink(missing_ok=True)
        return "done", ""

    def _execute(self, arguments: list[str], folder: Path, progress: dict[str, Any]) -> int:
        """Run one command, and follow the lines that it writes; its exit code."""
        with (folder / LOG).open("a") as log:
            process = subprocess.Popen(
                [*self.program, *arguments],
                cwd=folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is the server's, which passes it on
            )
            if hasattr(os, "setpriority"):
                with contextlib.suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, process.pid, LOWER_PRIORITY)
            with self.changed:
                self.process = process
                if self.is_closing or progress.get("stopping"):
                    self._signal(signal.SIGTERM)
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    with contextlib.suppress(ValueError):
                        _follow(json.loads(line), progress)
                return process.wait()
            finally:
                with self.changed:
                    self.process = None


def _follow(entry: dict[str, Any], progress: dict[str, Any]) -> None:
    """Take in a line of `--progress json`."""
    if "notice" in entry:
        progress["notices"].append(entry["notice"])
        return
    if "loss" in entry:
        progress["losses"].append(entry["loss"])
    progress |= {"left": None} | entry


def _ending(code: int, folder: Path) -> tuple[str, str]:
    """State and message of a run that did not end with 0."""
    has_result = (folder / RESULT).exists()
    if code in (128 + signal.SIGTERM, -signal.SIGTERM):
        kept = "the best so far was kept" if has_result else "there was no result yet"
        return "stopped", f"It was stopped: {kept}."
    if code < 0:
        reason = f" ({OUT_OF_MEMORY})" if code == -signal.SIGKILL else ""
        return "failed", f"The process was ended by {signal.Signals(-code).name}{reason}."
    lines = [line.strip() for line in (folder / LOG).read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].removeprefix("reproduce: error: ") if lines else f"It ended with code {code}."
    return "failed", last


def _with_preset(words: list[str], preset: str) -> list[str]:
    place = words.index("--preset") + 1
    return [*words[:place], preset, *words[place + 1 :]]
