"""A checkpoint: what a run has reached, kept in a file, so that a run that was cut off can go on."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, expect
from ..files import write_atomically
from .optimize import Outcome

EVERY = 60.0  # seconds


class _Solved(NamedTuple):
    """What an optimisation is made of, and what each of its stages has reached; the last may not be finished."""

    made_of: dict[str, Any]
    stages: list[Outcome]


class Checkpoint:
    """A file that holds what a run has reached: the same run, begun again, goes on from there.

    A run is a row of optimisations, each in stages. Those that were finished are not made again, the one that was cut
    off goes on from its best point, and what lies between them, such as resizing and matching, is done once more.

    Args:
        path: of the file, which ends in .npz; None: nothing is kept.
        every: seconds between two writes, and before the first; 0: nothing is written.
        resume: go on from what the file holds, where there is one.
        on_failure: told, once, that the file cannot be written; the run goes on.

    Raises:
        InputError: the file is not what was written.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        every: float = EVERY,
        *,
        resume: bool = False,
        on_failure: Callable[[OSError], object] = lambda error: None,
    ):
        expect(every >= 0, "a checkpoint every 0 seconds or more", every)
        self.path, self._every, self._on_failure = path and Path(path), every, on_failure
        self._solved = _read(self.path) if resume and self.path and self.path.exists() else []
        self._number = -1
        self._due = time.monotonic() + every

    @property
    def iterations(self) -> int:
        """How many are done, of all optimisations."""
        return sum(outcome.iterations for solved in self._solved for outcome in solved.stages)

    def begin(self, made_of: dict[str, Any]) -> list[Outcome]:
        """The next optimisation begins; returns what its stages had reached, as far as they had come.

        Raises:
            InputError: what was kept is made of something else.
        """
        made_of, self._number = json.loads(json.dumps(made_of)), self._number + 1
        if self._number == len(self._solved):
            self._solved.append(_Solved(made_of, []))
        there = self._solved[self._number].made_of
        others = [name for name in {**made_of, **there} if made_of.get(name) != there.get(name)]
        expect(not others, "a checkpoint of the same run", f"one of another {', '.join(others)}: {self.path}")
        return list(self._solved[self._number].stages)

    def keep(self, stage: int, outcome: Outcome, in_place: bool = False) -> None:
        """Remember what a stage has reached, and write it if it is time.

        Args:
            stage: its number.
            outcome: what is not `interrupted` is finished.
            in_place: nobody but this stage needs the point that the one before has reached.
        """
        if self.path is None:
            return
        stages = self._solved[self._number].stages
        if not outcome.interrupted:
            outcome = outcome._replace(x=outcome.x.astype(np.float32))
            if in_place:
                stages[stage - 1] = stages[stage - 1]._replace(x=outcome.x)
        stages[stage:] = [outcome]
        self.write_if_due()

    def write_if_due(self) -> None:
        """Write, if the last time is long enough ago."""
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write what has been reached, if anything has."""
        if self.path is None or not self._every or not any(solved.stages for solved in self._solved):
            return
        arrays: dict[str, np.ndarray] = {}
        entries = [_entry(solved, arrays) for solved in self._solved]
        arrays["entries"] = np.frombuffer(json.dumps(entries).encode(), np.uint8)
        try:
            write_atomically(self.path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]
        except OSError as error:
            self._on_failure(error)
            self._on_failure = lambda error: None
        self._due = time.monotonic() + self._every

    def remove(self) -> None:
        """Remove the file: the run's result is safe elsewhere."""
        if self.path:
            with suppress(OSError):  # a folder that has turned read-only
                self.path.unlink(missing_ok=True)


def _entry(solved: _Solved, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What is kept of an optimisation, as JSON has it; its points go to `arrays`, each once."""
    stages = []
    for outcome in solved.stages:
        name = f"x{id(outcome.x)}"
        # As the network takes it: doubles would say nothing more.
        arrays[name] = outcome.x.astype(np.float32, copy=False)
        stages.append(outcome._asdict() | {"x": name})
    return {"made_of": solved.made_of, "stages": stages}


def _read(path: Path) -> list[_Solved]:
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            expect(archive.testzip() is None, "checksums that hold", "others")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return [
                _Solved(entry["made_of"], [Outcome(**stage | {"x": arrays[stage["x"]]}) for stage in entry["stages"]])
                for entry in json.loads(arrays["entries"].tobytes())
            ]
    except Exception as error:  # whatever zipfile, NumPy and JSON say of bytes that are not what was written
        raise InputError(f"Expected a checkpoint. Received: a file that is none, or is damaged: {path}") from error
