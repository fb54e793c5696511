"""Folders: a run for each image in one, one after the other, or in several processes at once."""

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import re
import signal
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2

from ..applications.registry import APPLICATIONS, Input
from ..errors import expect
from ..files import check_folder, same_file, sha256
from ..images.files import OUTPUT_SUFFIXES, read_picture
from ..images.listing import by_ending, by_stem, images_in
from ..network.backend import limit_threads
from ..network.features import VGG19
from ..stopping import Stop, stop_on_signals
from ..terminal import ProgressBar
from .commands import FAILED, Request, fail, found_network, guarded, run_application, say, written_by

HELP = (
    "Where inputs are folders, OUT is one too, and gets a NAME.png for each image NAME in them; images of equal names "
    "belong together. What is there already, made of the same files with the same settings, is not made again."
)
HELP_OF_ENDINGS = "One folder alone may hold all of them, as {names}."
SHOWN = 8  # names of what is passed over


def run_images(options: argparse.Namespace) -> int:
    """One run; or, where inputs are folders, one for each of their images."""
    folders = [path for path in _paths(options) if Path(path).is_dir()]
    expect(options.workers >= 1, "--workers of 1 or more", options.workers)
    if folders:
        return _run_folders(options, folders)
    expect(options.workers == 1, "a folder of images for several --workers", "none")
    return run_application(options)


def _run_folders(options: argparse.Namespace, folders: list[str]) -> int:
    """Make what is not there yet; what fails is said, and the others go on.

    Returns:
        0, or if it was stopped the signal's exit code, or else that of the first failure.
    """
    bar, output = ProgressBar(options.quiet), Path(options.output)
    runs, others = _runs(options, folders)
    for path in set(_paths(options)) - set(folders):
        read_picture(path)  # what all need: a mistake in it is said once, and nothing is made
    network = options.network or found_network(options, bar.say)
    for run in runs:
        run.network = network
    if not output.exists():
        check_folder(output.parent)
        output.mkdir()
    check_folder(output)
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        bar.say(f"passed over: {', '.join(others[:SHOWN])}{more}")
    left = [run for run in runs if not _is_done(run)]
    if len(left) < len(runs):
        bar.say(f"{len(runs) - len(left)} of {len(runs)} images are there already")
    make = partial(_at_once, workers=options.workers, bar=bar) if options.workers > 1 else _one_by_one
    with stop_on_signals() as stop:
        try:
            codes = list(make(left, stop))
        finally:
            bar.close()
    failures = [code for code in codes if code and not (stop and code == stop.exit_code)]
    done = len(runs) - len(left) + codes.count(0)
    bar.say(f"{output}: {done} of {len(runs)} images" + (f", {len(failures)} failed" if failures else ""))
    if stop and done < len(runs):
        return stop.exit_code
    return failures[0] if failures else 0


# Which runs


def _paths(options: argparse.Namespace) -> list[str]:
    """The files and folders that were given as inputs."""
    return [path for _, path in Request.of(options).paths.values()]


def _runs(options: argparse.Namespace, folders: list[str]) -> tuple[list[argparse.Namespace], list[str]]:
    """The options of the run of each image, and the names of what else is in the folders.

    Raises:
        InputError, FileNotFoundError: images lack or are there twice, or what is written would replace something.
    """
    output, application = Path(options.output), options.application
    is_folder = output.suffix.lower() not in OUTPUT_SUFFIXES and not output.is_file()
    expect(is_folder, f"a folder for what is made of {folders[0]}, which is a folder", output)
    for folder in folders:
        expect(not same_file(output, Path(folder)), "another folder for what is made than that of the images", folder)
    named = [entry for entry in application.inputs if entry.ending]
    given = [entry for entry in named if getattr(options, f"input_{entry.name}") is not None]
    if len(given) < len(named):
        names = " ".join(entry.metavar for entry in named)
        expect(len(given) == 1, f"{names}, or one folder of them alone", " ".join(entry.metavar for entry in given))
        inputs, others = _of_one_folder(Path(folders[0]), named)
    else:
        inputs, others = _of_equal_names(options, folders)
    expect(inputs, f"images in {folders[0]}", "none")
    runs = [
        argparse.Namespace(
            **vars(options)
            | {f"input_{entry}": value for entry, value in of_image.items()}
            | {"output": str(output / f"{name}.png")}
        )
        for name, of_image in inputs.items()
    ]
    for path, times in Counter(path for run in runs for path in written_by(run)).items():
        expect(times == 1, "images whose results have names of their own", f"{times} of {path}")
    for name in inputs if options.save_every else ():
        first = re.sub(r"_\d{4,}$", "", name)
        expect(first == name or first not in inputs, "images that --save-every leaves", f"{first} and {name}")
    return runs, others


def _of_one_folder(folder: Path, named: list[Input]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Name -> input -> file, of images NAME_ENDING; and the names of what else is there, such as a painting alone."""
    images, others = images_in(folder)
    found = by_ending(images, {entry.ending: entry.name for entry in named})
    inputs = {name: {entry: str(file) for entry, file in files.items()} for name, files in found.items()}
    for name in [name for name, files in inputs.items() if len(files) == 1]:
        del inputs[name]
    for name, files in inputs.items():
        for entry in named:
            if entry.name not in files:
                raise FileNotFoundError(f"Expected an image {name}_{entry.ending} beside {next(iter(files.values()))}")
    used = {file for files in inputs.values() for file in files.values()}
    return inputs, [image.name for image in images if str(image) not in used] + others


def _of_equal_names(options: argparse.Namespace, folders: list[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Name -> input -> what is given in place of folders, for each image of the first one; and what else is there."""
    images: dict[str, dict[str, Path]] = {}
    others: list[str] = []
    for folder in dict.fromkeys(folders):
        found, no_images = images_in(Path(folder))
        images[folder], others = by_stem(found), others + no_images
    names = list(images[folders[0]])
    for folder, found_there in images.items():
        for name in names:
            if name not in found_there:
                raise FileNotFoundError(f"Expected an image {name} in {folder}, as there is one in {folders[0]}")
        others += [file.name for name, file in found_there.items() if name not in images[folders[0]]]

    def of_image(value: Any, name: str) -> Any:
        """What was given, the name's image in place of each folder."""
        if isinstance(value, str):
            return str(images[value][name]) if value in images else value
        return [of_image(part, name) for part in value]

    given = {entry: getattr(options, f"input_{entry}") for entry in Request.of(options).files}
    return {name: {entry: of_image(value, name) for entry, value in given.items()} for name in names}, others


def _is_done(run: argparse.Namespace) -> bool:
    """Whether what a run would write is there, made of the same files with the same settings."""
    try:
        report = json.loads(Path(run.output).with_suffix(".json").read_bytes())
        request = Request.of(run)
        asked = request.sha256({name: sha256(path) for name, (_, path) in request.paths.items()}, run.network)
        is_same = report["request"] == asked and not report["interrupted"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return is_same and all(path.is_file() for path in written_by(run))


# How they are made


def _attempt(run: argparse.Namespace, stop: Stop, label: str = "") -> int:
    """Make one image; returns the exit code."""
    name = Path(run.output).stem
    try:
        return guarded(partial(run_application, run, stop, label), name)
    except Exception:  # a fault of the program is shown, but is no reason to leave out the other images
        traceback.print_exc()
        return fail(f"{name}: not made", FAILED)


def _one_by_one(runs: list[argparse.Namespace], stop: Stop) -> Iterator[int]:
    """The exit code of each run, until it is stopped."""
    began = time.monotonic()
    for number, run in enumerate(runs):
        if stop:
            return
        seconds = (time.monotonic() - began) / max(1, number) * (len(runs) - number)
        left = f", {math.ceil(seconds / 60)} min left" if number else ""
        yield _attempt(run, stop, f"image {number + 1} of {len(runs)}{left}: ")


def _at_once(runs: list[argparse.Namespace], stop: Stop, workers: int, bar: ProgressBar) -> Iterator[int]:
    """The exit code of each run as they end, several at a time in processes; one that is killed costs its image."""
    waiting, workers = deque(runs), min(workers, len(runs))
    idle: list[_Worker] = []
    busy: dict[Any, _Worker] = {}
    try:
        while busy or (waiting and not stop):
            while waiting and len(busy) < workers and not stop:
                worker = idle.pop() if idle else _Worker(runs[0].network, max(1, _cores() // workers))
                worker.send(waiting.popleft())
                busy[worker.connection] = worker
            for connection in wait(list(busy), timeout=0.2):
                worker = busy.pop(connection)
                code = worker.receive(stop)
                if worker.process.is_alive():
                    idle.append(worker)
                done = len(runs) - len(waiting) - len(busy)
                bar.show(f"{len(runs)} images", done, len(runs))
                yield code
            if stop:
                for worker in busy.values():
                    worker.stop()
    finally:
        for worker in (*idle, *busy.values()):
            worker.end()


class _Worker:
    """A process that makes the images that it is sent, one after the other."""

    def __init__(self, network: VGG19, threads: int):
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self.connection, its_own = context.Pipe()
        self.process = context.Process(target=_serve, args=(its_own, network, threads), daemon=True)
        self.process.start()
        its_own.close()
        self.name, self._is_stopped = "", False

    def send(self, run: argparse.Namespace) -> None:
        self.name = Path(run.output).stem
        told = {name: value for name, value in vars(run).items() if name not in ("run", "application", "network")}
        self.connection.send((run.application.name, told | {"quiet": True}))

    def receive(self, stop: Stop) -> int:
        """The exit code of what was sent, after what the process has said of it."""
        try:
            code, said = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return stop.exit_code if stop else fail(f"{self.name}: its process was killed; was memory short?", FAILED)
        for line in said.splitlines():
            say(line)
        return stop.exit_code if stop and code == 128 + signal.SIGTERM else code

    def stop(self) -> None:
        """Let it end with the best so far."""
        if not self._is_stopped:
            self.process.terminate()
            self._is_stopped = True

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def _serve(connection: Connection, network: VGG19, threads: int) -> None:
    """What a worker's process does, until the connection is closed."""
    # A terminal sends these to all of its processes; the first of them passes on what it is sent, as SIGTERM.
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)
    limit_threads(threads)
    cv2.setNumThreads(threads)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt), stop_on_signals() as stop:
        while True:
            application, told = connection.recv()
            run = argparse.Namespace(**told, application=APPLICATIONS[application], network=network)
            with contextlib.redirect_stderr(io.StringIO()) as said:
                code = _attempt(run, stop)
            connection.send((code, said.getvalue()))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
