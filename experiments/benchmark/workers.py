"""What a second worker saves: a table of small jobs by one of Dask's workers and by two, of one thread each."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from reproduce.images.arrays import resize
from reproduce.settings import change

from ..jobs import Job, Runs
from ..methods import PAPER_FULL
from .measuring import Row, markdown_table, pasted

SHAPE, PART = (168, 224), 80
ROUNDS = 2
ONE_THREAD = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def workers(painting: np.ndarray, runs: Runs) -> str:
    """Ten jobs by one worker and by two, in turn; each has done a job before, which loads TensorFlow."""
    try:
        from .. import cluster
    except ImportError:
        return _table([("Dask is not installed", "", "", "")])
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with _one_thread():
        for count in ROUNDS * (1, 2):
            with tempfile.TemporaryDirectory() as folder, cluster.connected(count, None, None) as client:
                for jobs in (_jobs(painting, runs, range(1, 1 + count)), _jobs(painting, runs, range(5, 15))):
                    began, board = time.perf_counter(), cluster.Board({job.key: 1.0 for job in jobs}, None)
                    outcomes = cluster.run(client, iter(jobs), runs.network, Path(folder), board,
                                           gpu_gigabytes=6.0, stop=runs.stop)  # fmt: skip
                    for _, error in outcomes:
                        if error is not None:
                            raise error
                    board.close()
                seconds[count].append(time.perf_counter() - began)
    return _table([
        (f"{two / one:.2f}", f"{two:.1f}", f"{one:.1f}", f"{os.cpu_count()}") for one, two in zip(*seconds.values())
    ])  # fmt: skip


def _jobs(painting: np.ndarray, runs: Runs, iterations: range) -> list[Job]:
    """A harmonisation in small for each number of iterations: so no two are the same."""
    images, settings, weights = pasted(resize(painting, SHAPE), SHAPE, PART), PAPER_FULL.settings, runs.network.weights
    job = Job("", "harmonize", images, settings, weights.sha256 if weights else None)
    return [replace(job, name=f"{count}", settings=change(settings, iterations=count)) for count in iterations]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started here compute with one thread."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ |= dict.fromkeys(ONE_THREAD, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _table(rows: list[Row]) -> str:
    return markdown_table(
        "Workers",
        "Ten small jobs, `paper` at full resolution, by two workers of one thread and by one.",
        "two / one | two, s | one, s | cores",
        rows,
    )
