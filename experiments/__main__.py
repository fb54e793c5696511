"""python -m experiments NAME ...: regenerate figures, tables and ablations."""

import argparse
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from reproduce.__main__ import listed

FIGURES = tuple(f"figure_{number}" for number in range(1, 8))
EXPERIMENTS = ("demo", *FIGURES, "table", "ablation", "benchmark")
GROUPS = {"figures": FIGURES}
GPU_GIGABYTES = 6.0  # what the paper had


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.list:
        for name in EXPERIMENTS:
            print(f"{name:10} {import_module(f'.{name}', __package__).__doc__.strip().splitlines()[0]}")
        return 0
    try:
        return _make(options)
    except KeyboardInterrupt:
        print("experiments: stopped; finished runs are kept, the same command goes on from there", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"experiments: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _make(options) -> int:
    _check("experiments", options.names, (*EXPERIMENTS, *GROUPS))
    names = [name for given in options.names for name in GROUPS.get(given, (given,))]
    if not names:
        raise ValueError("Expected the name of an experiment (see --list). Received: none")
    from reproduce.backend import limit_gpu_memory  # TensorFlow and all: only once the command is known to make sense

    from .ablation import ABLATIONS
    from .materials import open_materials
    from .methods import METHODS
    from .runs import Runs

    bar = _Bar()
    materials = open_materials(options.materials, bar.fetching)
    _check("methods", options.methods, METHODS)
    _check("ablations", options.ablations, ABLATIONS)
    _check(f"cases of {materials.name}", options.cases, materials.names())
    limit_gpu_memory(GPU_GIGABYTES)
    runs = Runs(
        materials=materials,
        output=options.output,
        cache=options.cache,
        iterations=options.iterations,
        only=options.cases,
        smoke=options.smoke,
        methods=options.methods,
        ablations=options.ablations,
        on_progress=bar.running,
    )
    for name in names:
        bar.say(f"{name} ...")
        import_module(f".{name}", __package__).make(runs)
        bar.close()
    return 0


def _check(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"Expected {what} out of {', '.join(known)}. Received: {name}")


class _Bar:
    """One progress bar at a time, for fetches and runs."""

    def __init__(self):
        self.label, self.bar = None, None

    def say(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)

    def fetching(self, file: str, done: int, total: int) -> None:
        self._update(f"fetching {file}", done, total)

    def running(self, name: str, progress) -> None:
        self._update(f"{name}: {progress.stage}", progress.done, progress.total)

    def _update(self, label: str, done: float, total: float) -> None:
        if label != self.label or done < self.bar.n:
            self.close()
            layout = "{desc}: {percentage:3.0f}%|{bar:30}| [{elapsed}, {remaining} left]"
            self.label, self.bar = label, tqdm(total=total, desc=label, bar_format=layout, delay=1)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(EXPERIMENTS)}, or 'figures' for all figures"
    )
    parser.add_argument("--list", action="store_true", help="say what each experiment is")
    parser.add_argument("--materials", default="demo", help="demo (drawn), dph (fetched), or a folder (default: demo)")
    parser.add_argument("--output", type=Path, default=Path("output/figures"), help="folder for what is made")
    parser.add_argument("--cache", type=Path, default=Path("output/cache"), help="folder of finished runs")
    parser.add_argument("--iterations", type=int, metavar="N", help="in place of each preset's own")
    parser.add_argument("--smoke", action="store_true", help="tiny images, two iterations: does everything work?")
    for name, help in (
        ("--cases", "which cases of the materials to take (default: as many as the experiment shows)"),
        ("--methods", "which methods the table compares (default: all but 'base')"),
        ("--ablations", "which ablations to make (default: all)"),
    ):
        parser.add_argument(name, metavar="A,B,...", type=listed, default=(), help=help)
    return parser


if __name__ == "__main__":
    sys.exit(main())
