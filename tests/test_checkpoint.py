"""Checkpoints: what a run that was stopped, killed or cut off leaves, and how another goes on from it."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from full_disk import no_file_longer_than
from test_applications import CORNERS, QUICK, QUICK_BASE, blobs, disc, harmonize, keep_details, restyle_region

from test_applications import stopping, stylize  # isort: skip
from test_command_line import HARMONIZE, SHORT, contents, folder, pressing, refused, run, typed, wait_for  # noqa: F401

from reproduce import VGG19, Checkpoint, InputError, Stop, Stopped, change
from reproduce.solving.optimize import Outcome, minimize

CONTENT, STYLE, OTHER, MASK = blobs((67, 90), 0), blobs((50, 70), 1), blobs((40, 48), 2), disc((67, 90), (30, 41), 12)
ITERATIONS = 16
LONG, LONG_BASE = change(QUICK, iterations=ITERATIONS), change(QUICK_BASE, iterations=ITERATIONS)
FINE_BASE = change(LONG_BASE, coarse_to_fine=1, scale=1.0)
# Runs of one optimisation or several, of one stage or several.
RUNS = {
    "stylize": lambda **how: stylize(CONTENT, STYLE, LONG_BASE, **how),
    "coarse to fine": lambda **how: stylize(CONTENT, STYLE, FINE_BASE, **how),
    "recoloured": lambda **how: stylize(CONTENT, STYLE, change(FINE_BASE, recolor=True, bounds=False), **how),
    "matched again": lambda **how: harmonize(CONTENT, OBJECT, MASK, change(LONG, rematch_every=6), **how),
    "both": lambda **how: harmonize(CONTENT, OBJECT, MASK, change(LONG, rematch_every=6, coarse_to_fine=1), **how),
    "shapes": lambda **how: restyle_region(CONTENT, STYLE, None, LONG_BASE, mask=MASK, **how),
    "background": lambda **how: restyle_region(CONTENT, STYLE, CORNERS, LONG_BASE, background_style=OTHER, **how),
    "details": lambda **how: keep_details(CONTENT, STYLE, MASK, LONG, base=FINE_BASE, **how),
}
OBJECT = np.where(MASK[..., None] > 0, blobs((67, 90), 3), CONTENT)
whole_runs: dict = {}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.checkpoint.npz"


def whole(name):
    """A run that nobody stops."""
    if name not in whole_runs:
        whole_runs[name] = RUNS[name]()
    return whole_runs[name]


def at_step(number):
    """Arguments of a run that is stopped at a step, counted over all that it does."""
    stop, seen = Stop(), []

    def on_progress(progress):
        seen.append(progress)
        if len(seen) == number:
            stop.set()

    return {"stop": stop, "on_progress": on_progress}


def steps(name):
    seen = []
    RUNS[name](on_progress=seen.append)
    return seen


def stopped(path, run, **how):
    """Stop a run; its checkpoint is written."""
    with contextlib.suppress(Stopped):
        assert run(checkpoint=Checkpoint(path), **how).report.interrupted


def reports(result):
    report = result.report
    return [part for part in (report.base, report.background, report) if part is not None]


# Going on


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_wherever_it_was_stopped(name, path):
    """Early, late, between stages, between optimisations."""
    for number in np.linspace(1, len(steps(name)) - 1, 5).astype(int):
        path.unlink(missing_ok=True)
        stopped(path, RUNS[name], **at_step(number))
        result = RUNS[name](checkpoint=Checkpoint(path, resume=True))
        for found, wanted in zip(reports(result), reports(whole(name)), strict=True):
            assert not found.interrupted
            assert wanted.iterations <= found.iterations <= wanted.iterations + LONG.solver.history
            assert found.evaluations == len(found.trace)
            assert found.loss["final"]["total"] <= 1.1 * wanted.loss["final"]["total"]


@pytest.mark.parametrize("done", [10, 60, 110])
def test_a_run_that_goes_on_reaches_what_it_would_have(done, path):
    def run(**how):
        return harmonize(CONTENT, OBJECT, MASK, change(QUICK, iterations=120), **how)

    if "long" not in whole_runs:
        whole_runs["long"] = run()
    stopped(path, run, **stopping("optimizing", done))
    found = run(checkpoint=Checkpoint(path, resume=True))
    assert found.report.loss["final"]["total"] <= 1.02 * whole_runs["long"].report.loss["final"]["total"]


SEVERAL = [name for name in RUNS if name not in ("stylize", "shapes")]


@pytest.mark.parametrize("name", SEVERAL)
def test_between_two_optimisations_nothing_is_lost(name, path):
    """The solver has no memory there that could be lost: the result is the same to the bit, and nothing made twice."""
    before_the_last = max(n for n, progress in enumerate(steps(name), start=1) if progress.stage != "optimizing")
    stopped(path, RUNS[name], **at_step(before_the_last))
    seen = []
    result = RUNS[name](checkpoint=Checkpoint(path, resume=True), on_progress=seen.append)
    np.testing.assert_array_equal(result.image, whole(name).image)
    for found, wanted in zip(reports(result), reports(whole(name)), strict=True):
        assert [entry["loss"] for entry in found.trace] == [entry["loss"] for entry in wanted.trace]
    of_all = [progress for progress in steps(name) if progress.stage == "optimizing"]
    assert 0 < sum(progress.stage == "optimizing" for progress in seen) < len(of_all)


def test_what_is_interrupted_again_and_again_gets_to_its_end(path):
    """Ten times, and only once from the beginning."""
    best = []
    for number in range(10):
        with_stop = stopping("optimizing", number + 2)
        result = RUNS["stylize"](checkpoint=Checkpoint(path, resume=True), **with_stop)
        best.append(result.report.loss["final"]["total"])
        assert result.report.interrupted and result.report.iterations == number + 2
    result = RUNS["stylize"](checkpoint=Checkpoint(path, resume=True))
    assert best == sorted(best, reverse=True) and result.report.loss["final"]["total"] < best[-1]
    assert result.report.iterations == ITERATIONS + LONG.solver.history and not result.report.interrupted
    assert "went on after 11 iterations" in result.report.notices[-1]


def test_stopped_before_it_has_gone_on_the_best_is_still_there(path):
    """Also while the style is looked at, before the first evaluation."""
    first = RUNS["matched again"](checkpoint=Checkpoint(path), **at_step(8))
    kept = path.read_bytes()
    for stage in ("starting", "matching"):
        stop = Stop()
        again = RUNS["matched again"](
            checkpoint=Checkpoint(path, resume=True),
            stop=stop,
            on_progress=lambda progress, stage=stage, stop=stop: progress.stage == stage and stop.set(),
        )
        assert again.report.interrupted and again.report.iterations == first.report.iterations
        np.testing.assert_array_equal(again.image, first.image)
    assert len(path.read_bytes()) == len(kept)


def test_a_run_that_goes_on_tells_the_work_of_both(path):
    first = RUNS["stylize"](checkpoint=Checkpoint(path), **stopping("optimizing", 7)).report
    report = RUNS["stylize"](checkpoint=Checkpoint(path, resume=True)).report
    assert Checkpoint(path, resume=True).iterations == first.iterations == 7
    assert [entry["loss"] for entry in report.trace[: len(first.trace)]] == [entry["loss"] for entry in first.trace]
    assert report.trace[len(first.trace)]["loss"] == pytest.approx(first.loss["final"]["total"], rel=1e-6)
    assert report.loss["initial"] == first.loss["initial"]
    seconds = [entry["seconds"] for entry in report.trace]
    assert seconds == sorted(seconds) and report.seconds > first.trace[-1]["seconds"]


def test_of_what_is_matched_again_two_points_are_kept(path):
    """However often: the query, and the best so far."""
    run = RUNS["matched again"]
    sizes = []
    for done, number in ((3, 1), (3, 2), (3, 3)):
        path.unlink(missing_ok=True)
        stop, seen = Stop(), []

        def on_progress(progress, done=done, number=number, stop=stop, seen=seen):
            if (progress.stage, progress.done) == ("optimizing", done):
                seen.append(progress)
                if len(seen) == number:
                    stop.set()

        run(checkpoint=Checkpoint(path), stop=stop, on_progress=on_progress)
        with np.load(path) as arrays:
            sizes.append(sum(array.dtype == np.float32 for array in arrays.values()))
    assert sizes == [1, 2, 2]


# The solver


def rosenbrock(x):
    value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    slope = np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])
    return value, slope, {}


def test_the_solver_goes_on_from_the_best_point_with_the_iterations_that_are_left():
    options = {"bounds": None, "history": 10, "tolerance": 0.0}
    states = []
    minimize(rosenbrock, np.array([-1.2, 1.0]), iterations=20, on_evaluation=states.append, **options)
    before = states[9]
    trace = list(before.trace[: before.evaluations])
    assert rosenbrock(before.x)[0] == min(entry["loss"] for entry in trace) and before.interrupted
    before, numbers = before._replace(trace=trace), []
    outcome = minimize(
        rosenbrock, np.zeros(2), iterations=60, before=before,
        on_iteration=lambda number, loss, x: numbers.append(number), **options,
    )  # fmt: skip
    assert numbers == list(range(before.iterations + 1, outcome.iterations + 1))
    fewer = minimize(rosenbrock, np.zeros(2), iterations=before.iterations + 2, before=before, **options)
    assert fewer.iterations == before.iterations + 2 and "ITERATIONS REACHED LIMIT" in fewer.stop_reason
    assert outcome.trace[: len(trace)] == trace and outcome.trace[len(trace)]["loss"] == rosenbrock(before.x)[0]
    assert len(before.trace) == before.evaluations  # and is not written to
    assert not outcome.interrupted and rosenbrock(outcome.x)[0] < 1e-6


def test_a_tolerance_is_a_share_of_the_very_first_loss():
    """Not of the loss that it goes on from, which is far less."""
    slow = lambda x: (float((x**4).sum()), 4 * x**3, {})  # noqa: E731
    options = {"bounds": None, "history": 10, "tolerance": 1e-3, "iterations": 200}
    whole = minimize(slow, np.full(4, 10.0), **options)
    states = []
    minimize(slow, np.full(4, 10.0), on_evaluation=states.append, **options)
    before = states[-2]._replace(trace=whole.trace[: states[-2].evaluations])
    again = minimize(slow, np.full(4, 10.0), before=before, **options)
    assert again.evaluations <= whole.evaluations + 3


# Another run's


OTHERS = {
    "content": lambda **how: stylize(OBJECT, STYLE, LONG_BASE, **how),
    "style": lambda **how: stylize(CONTENT, OTHER, LONG_BASE, **how),
    "iterations": lambda **how: stylize(CONTENT, STYLE, change(LONG_BASE, iterations=9), **how),
    "start, seed": lambda **how: stylize(CONTENT, STYLE, change(LONG_BASE, start="noise", seed=1), **how),
    "weights": lambda **how: stylize(CONTENT, STYLE, LONG_BASE, **how | {"network": Other(width=0.05)}),
    "style 2, blend": lambda **how: stylize(CONTENT, [STYLE, OTHER], LONG_BASE, **how),
}


class Other(VGG19):
    """As if it came from another file."""

    @property
    def origin(self):
        return {"source": "elsewhere", "sha256": "0" * 64}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_s_checkpoint_is_refused(name, path):
    stopped(path, RUNS["stylize"], **stopping("optimizing", 3))
    before = path.read_bytes()
    with pytest.raises(InputError) as error:
        OTHERS[name](checkpoint=Checkpoint(path, resume=True))
    others = str(error.value).removeprefix("Expected a checkpoint of the same run. Received: one of another ")
    assert set(others.removesuffix(f": {path}").split(", ")) == set(name.split(", "))
    assert path.read_bytes() == before


def test_another_share_of_blended_styles_is_another_run(path):
    def blended(blend, **how):
        return stylize(CONTENT, [STYLE, OTHER], LONG_BASE, blend=blend, **how)

    blended([1, 2], checkpoint=Checkpoint(path), **stopping("optimizing", 3))
    with pytest.raises(InputError, match="one of another blend"):
        blended([2, 1], checkpoint=Checkpoint(path, resume=True))
    assert not blended([1, 2], checkpoint=Checkpoint(path, resume=True)).report.interrupted


def test_another_application_s_checkpoint_is_refused(path):
    stopped(path, RUNS["stylize"], **stopping("optimizing", 3))
    with pytest.raises(InputError, match=r"one of another application, .*style_loss"):
        RUNS["matched again"](checkpoint=Checkpoint(path, resume=True))


# Damage


def read(path):
    checkpoint = Checkpoint(path, resume=True)
    return json.dumps([(s.made_of, [o._replace(x=o.x.tolist()) for o in s.stages]) for s in checkpoint._solved])


@pytest.fixture
def kept(path):
    """A small checkpoint, of two stages."""
    checkpoint = Checkpoint(path)
    checkpoint.begin({"content": "a hash", "scale": 0.5})
    checkpoint.keep(0, Outcome(np.linspace(0, 1, 30), 4, 5, 1.5, "", [{"loss": 3.0}, {"loss": 2.0}]))
    checkpoint.keep(1, Outcome(np.linspace(1, 0, 60), 2, 2, 0.5, "", [{"loss": 1.0}], interrupted=True))
    checkpoint.write()
    return path


def test_what_is_read_is_what_was_written(kept):
    ((solved,), checkpoint) = Checkpoint(kept, resume=True)._solved, Checkpoint(kept, resume=True)
    assert solved.made_of == {"content": "a hash", "scale": 0.5} and checkpoint.iterations == 6
    first, second = solved.stages
    np.testing.assert_array_equal(first.x, np.linspace(0, 1, 30, dtype=np.float32))
    np.testing.assert_array_equal(second.x, np.linspace(1, 0, 60, dtype=np.float32))
    assert first[1:] == (4, 5, 1.5, "", [{"loss": 3.0}, {"loss": 2.0}], False) and second.interrupted


def test_there_are_no_pickles_in_it(kept):
    with np.load(kept, allow_pickle=False) as arrays:
        assert {array.dtype.kind for array in arrays.values()} == {"f", "u"}


def test_a_checkpoint_that_was_cut_off_is_refused(kept):
    content = kept.read_bytes()
    for length in {*range(0, len(content), 37), len(content) - 1}:
        kept.write_bytes(content[:length])
        with pytest.raises(
            InputError, match=r"^Expected a checkpoint\. Received: a file that is none, or is damaged: "
        ):
            Checkpoint(kept, resume=True)


def test_an_altered_byte_is_found_or_means_nothing(kept):
    """Some say nothing, such as a time of day."""
    content, expected, refused = kept.read_bytes(), read(kept), 0
    for place in range(0, len(content), 7):
        kept.write_bytes(content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :])
        try:
            assert read(kept) == expected
        except InputError:
            refused += 1
    assert refused > len(content) / 7 / 2


def other_files():
    pickled, foreign, text = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(pickled, entries=np.array([{}], object))
    np.savez(foreign, x=np.zeros(3))
    with zipfile.ZipFile(text, "w") as archive:
        archive.writestr("entries.npy", "no array")
    return {
        "pickles": pickled.getvalue(),
        "of another program": foreign.getvalue(),
        "a zip": text.getvalue(),
        "a text": b"notes\n",
    }


@pytest.mark.parametrize("name", other_files())
def test_another_file_is_refused(path, name):
    path.write_bytes(other_files()[name])
    with pytest.raises(InputError, match="a file that is none"):
        Checkpoint(path, resume=True)


# When it is written


def test_it_is_written_in_time_and_not_before(path, monkeypatch):
    now, written = [1000.0], []
    monkeypatch.setattr("reproduce.solving.checkpoint.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Checkpoint, "write", lambda self: written.append(now[0]) or setattr(self, "_due", now[0] + 60))

    def on_progress(progress):
        now[0] += 25.0

    RUNS["stylize"](checkpoint=Checkpoint(path), on_progress=on_progress)
    assert written and written[0] - 1000 >= 60
    assert all(60 <= later - earlier <= 85 for earlier, later in pairwise(written))
    assert written[-1] >= now[0] - 110  # until the end


@pytest.mark.parametrize("every", [60.0, 0.0])
def test_a_short_run_writes_nothing(path, every):
    RUNS["details"](checkpoint=Checkpoint(path, every))
    assert not list(path.parent.iterdir())


def test_none_is_written_where_none_is_wanted(path):
    stopped(path, lambda checkpoint, **how: RUNS["stylize"](checkpoint=Checkpoint(path, 0), **how), **at_step(5))
    assert not path.exists()
    with pytest.raises(InputError, match=r"every 0 seconds or more\. Received: -1"):
        Checkpoint(path, -1)


def test_a_full_disk_is_said_once_and_the_run_goes_on(path):
    said = []
    stopped(path, RUNS["stylize"], **at_step(5))
    before = path.read_bytes()
    with no_file_longer_than(1000):
        checkpoint = Checkpoint(path, 1e-9, resume=True, on_failure=said.append)
        result = RUNS["stylize"](checkpoint=checkpoint)
    assert not result.report.interrupted and result.report.iterations == ITERATIONS + 4
    assert len(said) == 1 and "out.checkpoint.npz" in str(said[0]) and "File too large" in str(said[0])
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


# On the command line


def test_a_run_that_is_finished_leaves_no_checkpoint(folder):  # noqa: F811
    before = contents(folder)
    assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT, "--checkpoint-every", "1e-9") == 0
    assert contents(folder).keys() - before.keys() == {Path("out.png"), Path("out.json")}


@pytest.mark.parametrize("command", ["harmonize", "keep-details"])
def test_a_stopped_run_goes_on(folder, monkeypatch, capfd, command):  # noqa: F811
    arguments = [command, *{"harmonize": HARMONIZE[1:], "keep-details": ["CONTENT", "STYLE", "MASK"]}[command]]
    arguments += ["-o", "OUT", "--scale", "1", "--iterations", "6", "--save-every", "2"]
    with monkeypatch.context() as patch:
        pressing(patch, 3, lambda: signal.raise_signal(signal.SIGTERM))
        assert run(folder, *arguments) == 143
    assert f"--resume goes on from {folder / 'out.checkpoint.npz'}\n" in capfd.readouterr().err
    assert (folder / "out.checkpoint.npz").exists() and json.loads((folder / "out.json").read_text())["interrupted"]
    second = (folder / "out_0002.png").read_bytes()
    assert run(folder, *arguments, "--resume") == 0
    assert "went on after 3 iterations" in capfd.readouterr().err
    report = json.loads((folder / "out.json").read_text())
    assert (
        report["iterations"] == (9 if command == "harmonize" else 6)
        and not report["interrupted"]
        and "went on" in str(report)
    )
    assert not (folder / "out.checkpoint.npz").exists()
    last = 8 if command == "harmonize" else 14
    assert {path.name for path in folder.glob("out_0*")} == {f"out_{n:04d}.png" for n in range(2, last + 1, 2)}
    assert (folder / "out_0002.png").read_bytes() == second


def test_what_there_is_to_say_of_checkpoints(folder, monkeypatch, capfd):  # noqa: F811
    arguments = [*HARMONIZE, "-o", "OUT", "--scale", "1", "--iterations", "5"]
    assert run(folder, *arguments, "--resume") == 0
    assert f"there is no {folder / 'out.checkpoint.npz'} to go on from: the run begins anew" in capfd.readouterr().err
    with monkeypatch.context() as patch:
        pressing(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        assert run(folder, *arguments, "--quiet") == 130
    assert capfd.readouterr().err == ""
    line = refused(folder, capfd, *arguments, "--quiet", "--resume", "--grow", "3", "--iterations", "4")
    assert line.startswith("Expected a checkpoint of the same run. Received: one of another grow, iterations: ")
    assert run(folder, *arguments) == 0
    assert "is replaced: --resume would go on from it" in capfd.readouterr().err
    (folder / "out.checkpoint.npz").write_text("notes")
    assert "a file that is none, or is damaged" in refused(folder, capfd, *arguments, "--quiet", "--resume")


def test_a_full_disk_is_one_line(folder, capfd):  # noqa: F811
    """The result and its report are small enough, the checkpoint is not."""
    arguments = [*HARMONIZE, "-o", "OUT", *SHORT, "--checkpoint-every", "1e-9"]
    with no_file_longer_than(16_000):
        assert run(folder, *arguments) == 0
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "Could not write" in err and err.endswith(
        "out.checkpoint.npz: File too large; --resume will lack what was reached since\n"
    )
    assert not (folder / "out.checkpoint.npz").exists() and not list(folder.glob(".*"))


PROGRAM = [sys.executable, str(Path(__file__).with_name("program.py"))]


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals")
def test_a_run_that_is_killed_goes_on(folder):  # noqa: F811
    """Three times, at different places; the output from before stays till the end."""
    arguments = [*HARMONIZE, "--scale", "1", "--iterations", "240", "--quiet", "--rematch-every", "120"]
    assert subprocess.run([*PROGRAM, *typed(folder, [*arguments, "-o", "WHOLE"])]).returncode == 0
    arguments += ["-o", "OUT", "--checkpoint-every", "0.05"]
    (folder / "out.png").write_bytes(b"an older image")
    for iterations in (20, 100, 140):
        process = subprocess.Popen([*PROGRAM, *typed(folder, arguments), "--resume"])
        wait_for(folder / "out.checkpoint.npz", process)
        while Checkpoint(folder / "out.checkpoint.npz", resume=True).iterations < iterations:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert (folder / "out.png").read_bytes() == b"an older image"
    assert subprocess.run([*PROGRAM, *typed(folder, arguments), "--resume"]).returncode == 0
    whole, found = (json.loads((folder / f"{name}.json").read_text()) for name in ("whole", "out"))
    # Each of the two pieces that were cut may take ten more.
    assert 240 == whole["iterations"] < found["iterations"] <= 260 and "went on after" in found["notices"][-1]
    assert found["loss"]["final"]["total"] <= 1.02 * whole["loss"]["final"]["total"]
    assert not (folder / "out.checkpoint.npz").exists()
