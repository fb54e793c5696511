"""Jobs on Dask's workers: the same results as in one process, and what happens when something dies. Networks are small.

The workers are real processes. Jobs that wait do so for a file, so that nothing depends on how fast the machine is.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from test_jobs import NETWORK, image, make_job, mask, with_input

import experiments
from experiments.benchmark import workers
from experiments.command_line import main
from experiments.jobs import Cache, Job, Runs, code
from reproduce import InputError, Stop, Stopped, read_image, write_image
from reproduce.files import WriteError

distributed = pytest.importorskip("distributed")
import psutil  # noqa: E402, comes with distributed

from experiments import cluster  # noqa: E402

ROOT = Path(__file__).parents[1]
SHAPE = (96, 112)  # of the command line's cases
PATIENCE = 120.0  # seconds that a busy machine is given


def wait_for(condition, what):
    """What `condition` gives, once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True, eq=False)
class Odd(Job):
    """A job that does something else first: fails, or tells of itself in a file and waits for another."""

    error: Exception | None = None
    begun: Path | None = None
    go: Path | None = None

    def run(self, network, on_progress=None, stop=None):
        if self.error:
            raise self.error
        with open(self.begun, "a") as file:
            file.write(f"{os.getpid()}\n")
        while not self.go.exists():
            stop.check()
            time.sleep(0.02)
        return super().run(network, on_progress, stop)


def odd(**changes):
    job = make_job()
    return Odd(job.name, job.application, job.inputs, job.settings, job.weights, **changes)


def begun(path):
    """The processes that began a job, in order."""
    return list(map(int, path.read_text().split())) if path.exists() else []


@pytest.fixture(scope="module")
def client():
    with cluster.connected(2, None) as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def run(client, jobs, folder, stop=None, **options):
    """What became of each job, by name: nothing bad, or an error."""
    board = cluster.Board({job.key: 1.0 for job in jobs})
    stop = Stop() if stop is None else stop
    outcomes = cluster.run(client, jobs, NETWORK, folder, board, gpu_gigabytes=6.0, stop=stop, **options)
    try:
        return {job.name: error for job, error in outcomes}
    finally:
        board.close()


def several(count):
    return [replace(with_input(make_job(), "background", image(seed)), name=f"job {seed}") for seed in range(count)]


@pytest.mark.parametrize("gather", [False, True])
def test_jobs_come_out_as_in_one_process(client, folder, monkeypatch, gather):
    written = []
    write = Cache.write
    monkeypatch.setattr(Cache, "write", lambda cache, job, files: written.append(job) or write(cache, job, files))
    jobs = several(6)
    assert run(client, jobs, folder, gather=gather) == {job.name: None for job in jobs}
    assert len(written) == (6 if gather else 0)  # by this process
    for job in jobs:
        found, expected = Cache(folder).read(job), job.run(NETWORK)
        np.testing.assert_allclose(found.image, expected.image, atol=1.01 / 255)
        assert found.report["loss"]["final"]["total"] == pytest.approx(expected.report.loss["final"]["total"], rel=1e-4)
    assert sorted(path.suffix for path in folder.glob("harmonize-*")) == [".json"] * 6 + [".png"] * 6
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", str(max(1, cluster.CPU_COUNT // 2)))
    assert set(client.run(os.getenv, "TF_NUM_INTRAOP_THREADS").values()) == {threads}


def test_a_job_that_fails_does_not_stop_the_others(client, folder):
    small = replace(make_job(), name="too small", inputs={**make_job().inputs, "mask": mask()[:5]})
    fault = replace(odd(error=ZeroDivisionError("a fault")), name="faulty", settings=replace(small.settings))
    fault = replace(fault, inputs={**fault.inputs, "mask": 1 - mask()})
    jobs = [small, fault, *several(2)]
    outcomes = run(client, jobs, folder)
    assert isinstance(outcomes["too small"], InputError) and "mask" in str(outcomes["too small"])
    assert isinstance(outcomes["faulty"], ZeroDivisionError)
    assert outcomes["job 0"] is outcomes["job 1"] is None and len(list(folder.glob("*.json"))) == 2


def test_a_killed_worker_is_replaced_and_its_job_done_again(client, folder, tmp_path):
    job = odd(begun=tmp_path / "begun", go=tmp_path / "go")

    # The job cannot end before its worker is dead: it is stopped meanwhile.
    def stop_then_kill():
        (pid,) = wait_for(lambda: begun(job.begun), "the job")
        os.kill(pid, signal.SIGSTOP)
        job.go.touch()
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=stop_then_kill)
    killer.start()
    assert run(client, [job, *several(3)[1:]], folder) == {job.name: None, "job 1": None, "job 2": None}
    killer.join()
    first, second = begun(job.begun)
    assert first != second and Cache(folder).has(job)
    wait_for(lambda: len(client.nthreads()) == 2, "another worker")


def test_a_result_that_cannot_be_written_ends_it(client, folder):
    full = odd(error=WriteError(28, "Could not write x.png: No space left on device"))
    with pytest.raises(WriteError, match="No space left"):
        run(client, [full], folder)


def test_stopping_gives_up_what_runs(client, folder, tmp_path):
    stop = Stop()
    jobs = [replace(odd(begun=tmp_path / "begun", go=tmp_path / "never"), inputs=job.inputs) for job in several(3)]

    def stop_it():
        wait_for(lambda: len(begun(tmp_path / "begun")) == 2, "two jobs")
        stop.set()

    stopper = threading.Thread(target=stop_it)
    stopper.start()
    with pytest.raises(Stopped):
        run(client, jobs, folder, stop)
    stopper.join()
    # Both workers are free again. Other jobs: one that is asked for again at once would just go on, and never end.
    assert run(client, several(5)[3:], folder) == {"job 3": None, "job 4": None}
    assert len(begun(tmp_path / "begun")) == 2


def test_a_scheduler_that_goes_is_one_line(folder, tmp_path):
    job = odd(begun=tmp_path / "begun", go=tmp_path / "never")
    with distributed.LocalCluster(
        n_workers=1, resources=cluster.DEVICE, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as lost:

        def close():
            wait_for(lambda: begun(job.begun), "the job")
            lost.close()

        closer = threading.Thread(target=close)
        closer.start()
        with (
            pytest.raises(OSError, match="scheduler was lost"),
            cluster.connected(None, lost.scheduler_address) as client,
        ):
            run(client, [job], folder)
        closer.join()


def test_two_clients_of_a_scheduler_have_a_job_done_once(client, folder, tmp_path):
    job = odd(begun=tmp_path / "begun", go=tmp_path / "go")
    outcomes = []

    def ask():
        with distributed.Client(client.scheduler.address) as another:
            outcomes.append(run(another, [job], folder))

    def asking(dask_scheduler):
        return len(dask_scheduler.tasks[job.key].who_wants) if job.key in dask_scheduler.tasks else 0

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    wait_for(lambda: client.run_on_scheduler(asking) == 2, "both to ask")
    wait_for(lambda: begun(job.begun), "the job")
    job.go.touch()
    for asker in askers:
        asker.join()
    assert outcomes == [{job.name: None}] * 2 and len(begun(job.begun)) == 1


def test_what_another_client_has_finished_meanwhile_is_not_run(client, folder, tmp_path):
    job = odd(begun=tmp_path / "begun", go=tmp_path / "go")
    Cache(folder).keep(job, make_job().run(NETWORK))
    assert run(client, [job], folder) == {job.name: None} and not begun(job.begun)


@pytest.mark.parametrize(
    ("seen", "with_code", "message"),
    [(Path("/no/such/folder/file"), code(), "--gather"), (None, {"method": "another"}, "this client's code")],
)
def test_a_worker_that_is_not_fit_says_so(client, seen, with_code, message):
    future = client.submit(cluster._work, make_job(), NETWORK, seen, 6.0, with_code, resources=cluster.DEVICE)
    assert isinstance(future.exception(), cluster.Unfit) and message in str(future.exception())


def test_a_worker_can_unpack_its_first_job_in_any_thread():
    """As Dask does with large ones; some packages can be imported in the main thread alone."""
    code = "from threading import Thread; from importlib import import_module as load\n"
    code += "thread = Thread(target=load, args=['experiments.cluster']); thread.start(); thread.join()"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0 and process.stderr == ""


def test_workers_without_a_device_are_refused():
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as plain,
        pytest.raises(InputError, match="device=1"),
        cluster.connected(None, plain.scheduler_address),
    ):
        pass


def test_each_worker_has_its_gpu_and_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(cluster, "_gpus", lambda: ["3", "5"])
    monkeypatch.setattr(cluster, "CPU_COUNT", 12)
    monkeypatch.setattr(cluster, "SpecCluster", lambda workers, scheduler, **options: workers)
    workers = [worker["options"] for worker in cluster._local(4).values()]
    assert [worker["env"] for worker in workers] == [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("3", "5", "3", "5")]
    assert {worker["nthreads"] for worker in workers} == {3}


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [(None, 0, []), (None, 2, ["0", "1"]), ("4,6", 2, ["4", "6"]), ("", 0, [])],
)
def test_gpus_by_their_names(monkeypatch, visible, count, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(cluster.keras.distribution, "list_devices", lambda kind: ["gpu"] * count)
    assert cluster._gpus() == expected


def test_the_script_of_a_queue_s_job(tmp_path, monkeypatch):
    config = tmp_path / "slurm.yaml"
    config.write_text("jobqueue:\n  slurm:\n    queue: gpu\n    cores: 6\n    job-extra-directives: ['--gres=gpu:1']\n")
    asked = {}
    monkeypatch.setattr(distributed.SpecCluster, "adapt", lambda self, **options: asked.update(options))
    handler = signal.getsignal(signal.SIGINT)
    with cluster.connected(None, "slurm:3", config) as client:
        assert signal.getsignal(signal.SIGINT) is handler
        script = client.cluster.job_script()
        address = client.scheduler.address
    assert asked == {"minimum": 3, "maximum": 3}
    for line in ("#SBATCH -p gpu", "#SBATCH --cpus-per-task=6", "#SBATCH --mem=8G", "#SBATCH --gres=gpu:1"):
        assert line in script.splitlines()
    command = script.splitlines()[-1]
    assert address in command and "distributed.cli.dask_worker" in command and sys.executable in command
    assert "--nthreads 6" in command and command.endswith("--resources device=1 --memory-limit 0")


# The command line


@pytest.fixture
def places(tmp_path):
    """Materials of three small cases, and where everything goes."""
    materials = tmp_path / "materials"
    materials.mkdir()
    for seed, name in enumerate(("one", "two", "three")):
        pictures = image(seed, SHAPE), image(seed + 3, SHAPE), np.pad(mask(), ((28, 28), (32, 32)))
        for ending, picture in zip(("target", "naive", "c_mask"), pictures):
            write_image(materials / f"{name}_{ending}.png", picture)
    made, cache = str(tmp_path / "made"), str(tmp_path / "cache")
    return ["--materials", str(materials), "--output", made, "--cache", cache]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers of 1 or more"),
        (["--workers", "2", "--cluster", "slurm:2"], "--workers or --cluster. Received: both"),
        (["--gather"], "--gather with --workers or --cluster"),
        (["--show-workers"], "--show-workers with --workers or --cluster"),
        (["--cluster-config", "x.yaml", "--workers", "2"], "--cluster-config with --cluster"),
        (["--cluster", "slurm:none"], "slurm:N. Received: slurm:none"),
        (["--cluster", "slurm"], "slurm:N. Received: slurm:"),
        (["--cluster", "slurm:2", "--cluster-config", "no.yaml"], "No such file.*no.yaml"),
        (["--cluster", "nowhere"], "an address"),
    ],
)
def test_a_mistake_is_one_line(places, capsys, arguments, message):
    assert main(["table", "--methods", "paper", "--smoke", *places, *arguments], NETWORK) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("experiments")]
    assert re.search(message, line)


def test_without_dask_one_line_says_what_is_missing(places, capsys, monkeypatch):
    monkeypatch.delattr(experiments, "cluster")
    monkeypatch.setitem(sys.modules, "experiments.cluster", None)
    assert main(["table", "--methods", "paper", "--smoke", *places, "--workers", "2"], NETWORK) == 2
    assert "requirements-cluster.txt" in capsys.readouterr().err


def test_a_dry_run_lists_what_is_done_and_what_is_not(places, tmp_path, capsys):
    table = ["table", "--methods", "naive,paper", "--smoke", *places]
    assert main([*table, "--dry-run"], NETWORK) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 3 and listed[2].startswith("2 jobs, 2 to do: ")
    assert re.fullmatch(r"to do +[\d.]+ min +[\d.]+ GB one, paper", listed[0])
    assert not (tmp_path / "made").exists() and not (tmp_path / "cache").exists()
    assert main([*table, "--cases", "one"], NETWORK) == 0
    capsys.readouterr()
    assert main([*table, "--dry-run"], NETWORK) == 0
    listed = capsys.readouterr().out.splitlines()
    assert re.fullmatch("done +one, paper", listed[0]) and listed[1].startswith("to do")
    assert listed[2].startswith("2 jobs, 1 to do: ")


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]], ids=["here", "on a worker"])
def test_a_failed_job_is_named_and_the_rest_is_made(places, tmp_path, capsys, workers):
    write_image(tmp_path / "materials" / "two_c_mask.png", np.zeros(SHAPE, np.float32))
    arguments = ["table", "figure_6", "--methods", "paper", "--cases", "one,two", "--smoke"]
    assert main([*arguments, *places, *workers], NETWORK) == 1
    said = capsys.readouterr().err
    assert re.search(r"failed: two, paper: Expected", said) and "table is not drawn" in said
    assert said.count("experiments: error: 1 of 2 jobs failed: two, paper") == 1
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"figure_6.png", "figure_6.json"}
    assert "Traceback" not in said


def test_a_fault_in_a_job_keeps_its_traceback(places, capsys, monkeypatch):
    def faulty(job, network, on_progress, stop):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(Job, "run", faulty)
    assert main(["figure_6", "--smoke", *places], NETWORK) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and "failed: one, paper: a fault" in said


# The program, with the small network, in a process of its own.
PROGRAM = """
import sys
from experiments.__main__ import main
from reproduce import VGG19
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], VGG19(width=0.05)))
"""


def children(pid):
    return psutil.Process(pid).children(recursive=True)


def test_a_killed_client_leaves_no_workers_and_goes_on_where_it_was(places, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), "table", "--methods", "paper,gatys", *places]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    kept = tmp_path / "cache"
    cases = ["--cases", "one,two,three", "--iterations"]
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(
            [*command, *cases, "300", "--workers", "1"], cwd=ROOT, env=environment, stdout=said, stderr=said
        )
    try:
        wait_for(lambda: process.poll() is not None or list(kept.glob("*.json")), "a result")
        assert process.poll() is None, (tmp_path / "said").read_text()[-3000:]
        workers = children(process.pid)
    finally:
        process.kill()
        process.wait()
    assert workers
    wait_for(lambda: not any(map(psutil.Process.is_running, workers)), "the workers to end")
    finished = {path.name: path.read_bytes() for path in kept.glob("*.json")}
    assert 1 <= len(finished) < 6
    arguments = ["table", "--methods", "paper,gatys", *places, *cases, "300", "--dry-run"]
    again = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), *arguments], cwd=ROOT, env=environment, capture_output=True
    )
    assert f"6 jobs, {6 - len(finished)} to do".encode() in again.stdout


@pytest.mark.weights
def test_a_smoke_table_on_two_workers_of_which_one_is_killed_is_that_of_one_process(tmp_path):
    """One thread each, so that sums are in the same order: then the images are the same to the last bit."""
    table = [sys.executable, "-m", "experiments", "table", "--smoke", "--methods", "naive,paper,refined"]
    places = {
        name: ["--output", str(tmp_path / name), "--cache", str(tmp_path / name / "cache")] for name in ("1", "2")
    }
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(
            [*table, *places["2"], "--workers", "2"], cwd=ROOT, env=environment, stdout=said, stderr=said
        )
    try:
        wait_for(lambda: process.poll() is not None or " 2 running" in (tmp_path / "said").read_text(), "two jobs")
        assert process.poll() is None, (tmp_path / "said").read_text()[-3000:]
        before = {child.pid for child in children(process.pid) if "spawn_main" in " ".join(child.cmdline())}
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        assert process.wait(PATIENCE) == 0, (tmp_path / "said").read_text()[-3000:]
    finally:
        process.kill()
    assert "4 of 4 jobs done" in (tmp_path / "said").read_text()
    subprocess.run([*table, *places["1"]], cwd=ROOT, env=environment, check=True, capture_output=True)
    one, two = (tmp_path / name / "cache" for name in ("1", "2"))
    names = sorted(path.name for path in one.iterdir())
    assert len(names) == 8 and names == sorted(path.name for path in two.glob("harmonize-*"))
    for name in names:
        if name.endswith(".png"):
            np.testing.assert_array_equal(read_image(one / name), read_image(two / name))
        else:
            reports = [json.loads((folder / name).read_text())["report"] for folder in (one, two)]
            assert reports[0]["loss"] == reports[1]["loss"]
    with contextlib.ExitStack() as files:
        rows = [files.enter_context(open(tmp_path / name / "table.md")).read().splitlines() for name in ("1", "2")]
    assert [row.split("|")[:12] for row in rows[0]] == [row.split("|")[:12] for row in rows[1]]


def test_one_worker_and_two_are_timed(tmp_path, monkeypatch):
    monkeypatch.setenv(workers.ONE_THREAD[0], "3")
    monkeypatch.delenv(workers.ONE_THREAD[1], raising=False)
    monkeypatch.setattr(workers, "ROUNDS", 1)
    monkeypatch.setattr(workers, "SHAPE", SHAPE)
    monkeypatch.setattr(workers, "PART", 40)
    section = workers.workers(image(shape=SHAPE), Runs(Cache(tmp_path), NETWORK, Stop()))
    ratio, two, one, cores = (float(cell) for cell in section.splitlines()[-1].strip("| ").split(" | "))
    assert two > 0 and ratio == pytest.approx(two / one, abs=0.1) and cores == os.cpu_count()
    assert os.environ[workers.ONE_THREAD[0]] == "3" and workers.ONE_THREAD[1] not in os.environ
