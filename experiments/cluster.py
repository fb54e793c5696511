"""Jobs on several processes or machines with Dask.distributed: its scheduler, its retries, its dashboard.

A worker is a process that runs one job at a time, on one GPU or on its share of the cores, and keeps TensorFlow loaded
between jobs. Results go into the cache's folder: from the workers, or through the client where they do not share it.
"""

import importlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import dask
import yaml
from dask.system import CPU_COUNT
from distributed import Client, Future, Nanny, Scheduler, SpecCluster, get_worker, wait
from tqdm import tqdm

from reproduce.errors import InputError, expect
from reproduce.files import WriteError, sha256
from reproduce.network.backend import keras, limit_gpu_memory
from reproduce.network.features import VGG19
from reproduce.network.weights import find_weights
from reproduce.solving.run import Progress
from reproduce.stopping import Stop

from .jobs import Cache, Job, Outcome, Packed, code, pack

DEVICE = {"device": 1}  # what a worker has, and a job takes
QUEUES = {  # kind -> class of dask-jobqueue
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
QUEUE_DEFAULTS = {"cores": 4, "memory": "8GB", "processes": 1}  # where no configuration says otherwise
TOPIC = "experiments"  # of the events by which workers tell how far they are
AHEAD = 2  # jobs sent out for each worker: the next one is there when one is finished
POLL_SECONDS, TELL_SECONDS, LINES_SECONDS = 0.5, 1.0, 10.0


class Unfit(InputError):
    """A worker that can run none of the jobs: it has other code, or not the cache's folder."""


class Board:
    """One bar for all jobs together, by what each is expected to take, and on demand a line a worker."""

    def __init__(self, shares: Mapping[str, float], say: Callable[[str], None] | None = None):
        """Args: the key of each job -> its share of the work; what takes the workers' lines, if they are wanted."""
        self.shares, self.say = shares, say
        self.running: dict[str, tuple[str, str]] = {}  # key of a job -> (worker, how far it is)
        self.finished, self.said = 0, time.monotonic()
        layout = "{desc} {percentage:3.0f}%|{bar:30}| [{elapsed}, {remaining} left]"
        self.bar = tqdm(total=sum(shares.values()), bar_format=layout, smoothing=0)
        self.show()

    def hear(self, event: tuple[float, dict[str, str]]) -> None:
        """An event of a worker, in a thread of Dask's."""
        told = event[1]
        self.running[told["key"]] = told["who"], told["text"]

    def show(self, finished: Iterable[Job] = ()) -> None:
        """Bring the bar up to date."""
        for job in finished:
            self.finished += 1
            self.running.pop(job.key, None)
            self.bar.update(min(self.shares[job.key], self.bar.total - self.bar.n))  # not a rounding beyond the end
        self.bar.set_description_str(f"{self.finished} of {len(self.shares)} jobs done, {len(self.running)} running:")
        if self.say and time.monotonic() - self.said >= LINES_SECONDS:
            self.said = time.monotonic()
            for worker, text in sorted(self.running.copy().values()):
                self.say(f"worker {worker}: {text}")

    def close(self) -> None:
        self.bar.close()


@contextmanager
def connected(workers: int | None, cluster: str | None, config: Path | None = None) -> Iterator[Client]:
    """A client of new processes here, of a queueing system's jobs, or of a scheduler that runs already.

    Args:
        workers: how many processes on this machine, if it is that.
        cluster: else KIND:N with a kind out of QUEUES, or a scheduler's address.
        config: a YAML file of Dask's settings, such as those of dask-jobqueue.

    Raises:
        InputError, OSError: a value is no such thing, nobody answers, or workers lack the resource "device".
    """
    settings = {"distributed": {"admin": {"large-graph-warning-threshold": "1GB"}}}  # a job brings its images
    settings = dask.config.merge(dask.config.config, settings, _read(config) if config else {})
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        place: Any = cluster
        if workers is not None:
            place = stack.enter_context(_local(workers))
        elif cluster and (kind := cluster.partition(":")[0]) in QUEUES:
            place = stack.enter_context(_queued(kind, cluster.partition(":")[2]))
        try:
            client = stack.enter_context(Client(place, timeout=20))
        except ValueError as error:  # no address
            raise InputError(
                f"Expected KIND:N with a kind out of {', '.join(QUEUES)}, or an address. {error}"
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong with a job is said once, here
        found = client.scheduler_info(n_workers=-1)["workers"].values()
        expect(
            all(worker["resources"].get("device") for worker in found),
            'workers started with --resources "device=1"',
            "one without",
        )
        yield client


def run(
    client: Client,
    jobs: Iterable[Job],
    network: VGG19,
    folder: Path,
    board: Board,
    *,
    gather: bool = False,
    gpu_gigabytes: float,
    stop: Stop,
) -> Iterator[Outcome]:
    """Have jobs run by the workers; each comes back when it is finished and kept, or has failed twice.

    Jobs are asked for as workers get free: the images of all at once could be more than memory holds.

    Args:
        jobs: each with a key of its own.
        network: that they are to run with; a worker elsewhere finds the same weights by itself.
        folder: of the cache.
        board: shows how far they are.
        gather: results come back here and are written here; without it the workers write into `folder`.
        gpu_gigabytes: what a worker takes of its GPU's memory.
        stop: asked all the time.

    Raises:
        Stopped: it was stopped. Jobs that run are given up.
        WriteError: a result cannot be written: the others could not be, either.
        Unfit: see there.
        OSError: the scheduler is gone.
    """
    kept, waiting, sent = Cache(folder), iter(jobs), dict[Future, Job]()
    how = (network, None if gather else _marked(folder), gpu_gigabytes, code())
    client.subscribe_topic(TOPIC, board.hear)
    try:
        while True:
            room = AHEAD * max(1, len(client.nthreads())) - len(sent)
            for job in islice(waiting, max(0, room)):
                sent[client.submit(_work, job, *how, key=job.key, retries=1, resources=DEVICE, pure=False)] = job
            if not sent:
                return
            done = {future: sent.pop(future) for future in _finished(sent)}
            stop.check()
            board.show(done.values())
            for future, job in done.items():
                yield job, _error(future, job, kept)
    except CancelledError as error:
        raise OSError(f"The connection to the scheduler was lost: {error}") from error
    finally:
        client.unsubscribe_topic(TOPIC)
        client.cancel(list(sent))


def _marked(folder: Path) -> Path:
    """A file in the folder that no folder of the same name on another machine has: who sees it sees this folder."""
    mark = folder.resolve() / f".seen-from-{socket.gethostname()}-{folder.stat().st_ino}"
    mark.touch()
    return mark


def _finished(sent: Iterable[Future]) -> set[Future]:
    try:
        return wait(list(sent), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").done
    except TimeoutError:
        return set()


def _error(future: Future, job: Job, kept: Cache) -> Exception | None:
    """Keep what a finished job sent back, if it did; else why it failed."""
    error = future.exception()
    files = future.result() if error is None else None
    future.release()  # now, not when Python gets to it: the scheduler holds the job's images until then
    if isinstance(error, WriteError | Unfit):
        raise error
    if files is not None:
        kept.write(job, files)
    return error


# What runs on a worker.


def _work(job: Job, network: VGG19, seen: Path | None, gpu_gigabytes: float, client_code: Any) -> Packed | None:
    """Run a job on this worker and write its result beside the file `seen`, or return it if there is none."""
    worker, told = get_worker(), 0.0
    name = f"{socket.gethostname()} {os.getpid()}"

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            share = f"{progress.done:.0f} of {progress.total:.0f}, loss {progress.loss:.4g}" if progress.loss else ""
            text = f"{job.name}: {progress.stage} {share}".strip()
            worker.log_event(TOPIC, {"key": job.key, "who": name, "text": text})

    if client_code != code():
        raise Unfit(f"Expected workers with this client's code and packages. Received: {name} with others.")
    if seen and not seen.exists():
        raise Unfit(f"Expected workers that share the cache's folder, or --gather. Received: {name}, without {seen}")
    tell(Progress("starting", 0, 1))
    if seen and Cache(seen.parent).has(job):  # another client's, meanwhile
        return None
    _set_up(gpu_gigabytes)
    files = pack(job, job.run(_here(network), tell, _Unwanted()))
    if seen is None:
        return files
    Cache(seen.parent).write(job, files)
    return None


class _Unwanted(Stop):
    """Set once nobody waits for the job that this thread runs: the client was stopped, or has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = get_worker()
        self.key = self.worker.get_current_task()

    def __bool__(self) -> bool:
        task = self.worker.state.tasks.get(self.key)
        return task is None or task.state == "cancelled"


@cache
def _set_up(gpu_gigabytes: float) -> None:
    """Before this process's first job: its threads are its share of the cores."""
    worker = get_worker()
    threads = str(worker.state.nthreads)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
    cv2.setNumThreads(worker.state.nthreads)
    limit_gpu_memory(gpu_gigabytes)


@cache
def _here(network: VGG19) -> VGG19:
    """The network of the client, with this machine's file of its weights."""
    weights = network.weights
    if weights is None or (weights.path.is_file() and sha256(weights.path) == weights.sha256):
        return network
    return VGG19(find_weights())


# Where workers come from.


def _local(count: int) -> SpecCluster:
    """Processes on this machine, each with one of its GPUs in turn, if it has any; those that die are replaced."""
    gpus = _gpus()
    options = {
        "nthreads": max(1, CPU_COUNT // count),
        "resources": DEVICE,
        "memory_limit": 0,  # see _queued
        "host": "127.0.0.1",
        "silence_logs": logging.CRITICAL,
    }
    environments = [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {} for number in range(count)]
    workers = {
        number: {"cls": Nanny, "options": options | {"env": environment}}
        for number, environment in enumerate(environments)
    }
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}}
    return SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL)


def _gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process sees."""
    count = len(keras.distribution.list_devices("gpu"))
    return os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")[:count]


def _queued(kind: str, count: str) -> Any:
    """So many jobs of a queueing system, one worker each; those that end are replaced."""
    expect(count.isdecimal() and int(count) > 0, f"a number of jobs, {kind}:N", f"{kind}:{count}")
    handler = signal.getsignal(signal.SIGINT)
    queues = importlib.import_module("dask_jobqueue")  # takes Ctrl-C for itself, and so is imported only here
    signal.signal(signal.SIGINT, handler)
    configured = {name: dask.config.get(f"jobqueue.{kind}.{name}", None) for name in QUEUE_DEFAULTS}
    options = {name: default for name, default in QUEUE_DEFAULTS.items() if configured[name] is None}
    # What a job needs is not data that Dask could move elsewhere: the queue alone watches over memory.
    own = ["--resources", "device=1", "--memory-limit", "0"]
    extra = [*dask.config.get(f"jobqueue.{kind}.worker-extra-args", ()), *own]
    cluster = getattr(queues, QUEUES[kind])(**options, worker_extra_args=extra, silence_logs="critical")
    cluster.adapt(minimum_jobs=int(count), maximum_jobs=int(count))
    return cluster


def _read(path: Path) -> dict[str, Any]:
    """The settings in a YAML file."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a YAML file of Dask's settings: {path}. {error}") from None
    expect(isinstance(settings, dict), "a YAML file of Dask's settings", path)
    return settings
