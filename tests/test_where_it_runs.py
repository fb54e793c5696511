"""Where users run the program: without a home, from any folder, with pipes, with streams that are closed or full."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_command_line import HARMONIZE, HEIGHT, WIDTH, pressing, run, typed, with_images

from reproduce import read_image

PROGRAM = [sys.executable, str(Path(__file__).with_name("program.py"))]
SHORT = ["--scale", "1", "--iterations", "2"]
SELECT = ["select", "COMPOSITE", "--seed", "20,30", "-o", "OUT"]
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such streams and users")


@pytest.fixture
def folder(tmp_path):
    return with_images(tmp_path)


def program(folder, *arguments, before=(), **keywords):
    """What a process of its own did, which works in `folder`."""
    return subprocess.run(
        [*before, *PROGRAM, *typed(folder, arguments)],
        **{"cwd": folder, "capture_output": True, "text": True, "timeout": 300, **keywords},
    )


def assert_result(folder, name="out"):
    assert read_image(folder / f"{name}.png").shape == (HEIGHT, WIDTH, 3)
    report = json.loads((folder / f"{name}.json").read_text())
    assert report["iterations"] > 0 and not list(folder.glob(".*"))
    return report


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Users without a home


@pytest.fixture
def open_folder():
    """Images where everybody may write: pytest's own folders are nobody else's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield with_images(folder)
    shutil.rmtree(folder)


@pytest.fixture
def nobody():
    """What starts a command as a user whom the password file does not know, with nothing in the environment."""
    number = "54321"
    if os.name == "nt" or os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root may become another user, with setpriv")
    before = ["env", "-i", "setpriv", "--reuid", number, "--regid", number, "--clear-groups"]
    probe = "import wave, numpy, pwd, os; print(os.path.expanduser('~'))"
    probed = subprocess.run([*before, sys.executable, "-c", probe], cwd="/", capture_output=True, text=True)
    if (probed.returncode, probed.stdout) != (0, "~\n"):
        pytest.skip("this Python or its packages cannot be read by another user, or that user has a home")
    return before


def test_a_user_without_a_home(open_folder, nobody):
    """As in many containers."""
    process = program(open_folder, *HARMONIZE, "-o", "OUT", *SHORT, "--quiet", before=nobody)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert_result(open_folder)
    assert (open_folder / "out.png").stat().st_uid == 54321


@pytest.mark.parametrize("home, expected", [(None, "/tmp/.keras/models"), ("/somewhere", "/somewhere/models")])
def test_where_a_user_without_a_home_has_weights(nobody, home, expected):
    """Keras's own folder, of which its variable decides first."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    code += "from reproduce.network.weights import models_folder; print(models_folder())"
    environment = [f"KERAS_HOME={home}"] if home else []
    command = [*nobody[:2], *environment, *nobody[2:], sys.executable, "-c", code]
    process = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert (process.stdout, process.stderr) == (f"{expected}\n", "")


# Any folder


@POSIX
def test_relative_paths_are_those_of_the_working_folder(folder):
    (folder / "below").mkdir()
    command = ["select", "../composite.png", "--seed", "20,30", "-o", "chosen.png"]
    process = program(folder, *command, cwd=folder / "below")
    assert (process.returncode, process.stderr) == (0, "")
    assert (folder / "below/chosen.png").exists()
    root = [word.removeprefix("/") for word in typed(folder, SELECT)]
    process = program(folder, *root, cwd="/")
    assert (process.returncode, process.stderr) == (0, "")
    assert digest(folder / "out.png") == digest(folder / "below/chosen.png")


# Pipes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("place", ["background", "composite", "mask"])
def test_a_named_pipe_as_input(folder, place):
    content = (folder / f"{place}.png").read_bytes()
    expected = {name: digest(folder / f"{name}.png") for name in ("background", "composite", "mask")}
    (folder / f"{place}.png").unlink()
    os.mkfifo(folder / f"{place}.png")
    writer = threading.Thread(target=(folder / f"{place}.png").write_bytes, args=(content,), daemon=True)
    writer.start()
    assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT, "--quiet") == 0
    writer.join(60)
    assert assert_result(folder)["inputs"] == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_an_object_that_is_its_own_mask_is_read_once_from_a_pipe(folder):
    cut_out = np.dstack([np.zeros((40, 40, 3), np.uint8), np.uint8(255 * (np.hypot(*np.mgrid[-20:20, -20:20]) < 15))])
    os.mkfifo(folder / "object.png")
    content = cv2.imencode(".png", cut_out)[1].tobytes()
    threading.Thread(target=(folder / "object.png").write_bytes, args=(content,), daemon=True).start()
    command = ["paste", "BACKGROUND", "OBJECT", "OBJECT", "--at", "30,30", "-o", "OUT", "--mask-output", "OUT_MASK"]
    assert run(folder, *command) == 0
    assert read_image(folder / "out_mask.png").max() == 1 and read_image(folder / "out.png").min() == 0


@POSIX
def test_the_input_may_be_redirected_from_a_file(folder):
    """Which is an input all the same, and is not written over."""
    with open(folder / "composite.png", "rb") as file:
        process = program(folder, "select", "/dev/stdin", *SELECT[2:], stdin=file)
    assert (process.returncode, process.stderr) == (0, "")
    before = digest(folder / "composite.png")
    with open(folder / "composite.png", "rb") as file:
        process = program(folder, "select", "/dev/stdin", *SELECT[2:-1], "COMPOSITE", stdin=file)
    assert process.returncode == 2 and "an output that is not an input" in process.stderr
    assert digest(folder / "composite.png") == before


# Streams that are closed or full


def through_a_shell(folder, redirections, *arguments, **keywords):
    """What a process with such redirections did; if its folder is called "gone", that is removed before."""
    script = f'[ "${{PWD##*/}}" != gone ] || rmdir "$PWD"; exec "$@" {redirections}'
    command = ["sh", "-c", script, "sh", *PROGRAM, *typed(folder, arguments)]
    return subprocess.run(command, timeout=300, capture_output=True, **{"cwd": folder, **keywords})


@POSIX
def test_a_whole_run_from_a_pipe_with_closed_streams_in_a_folder_that_is_gone(folder):
    """Not quiet: what is shown goes nowhere, above all not into a file that was opened meanwhile."""
    (folder / "gone").mkdir()
    command = ["harmonize", "BACKGROUND", "/dev/stdin", "MASK", "-o", "OUT", *SHORT, "--save-every", "1"]
    content = (folder / "composite.png").read_bytes()
    inputs = {name: digest(folder / f"{name}.png") for name in ("background", "composite", "mask")}
    process = through_a_shell(folder, ">&- 2>&-", *command, cwd=folder / "gone", input=content)
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    assert not (folder / "gone").exists()
    assert assert_result(folder)["inputs"] == inputs
    assert {name: digest(folder / f"{name}.png") for name in inputs} == inputs
    assert read_image(folder / "out_0002.png").shape == (HEIGHT, WIDTH, 3)


@POSIX
@pytest.mark.parametrize("redirections", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_short_commands_with_closed_streams(folder, redirections):
    process = through_a_shell(folder, redirections, *SELECT)
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    assert set(np.unique(read_image(folder / "out.png"))) == {0, 1}
    process = through_a_shell(folder, redirections, *SELECT, "--tolerance", "2")
    assert process.returncode == 2
    expected = b"" if "2>&-" in redirections else b"reproduce: error: Expected a tolerance in [0, 1]. Received: 2.0\n"
    assert (process.stdout, process.stderr) == (b"", expected)


@POSIX
@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_no_file_takes_the_place_of_a_stream_that_was_closed(redirections):
    """What native code writes past Python would go into it."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "import os, reproduce.__main__\n"
        "sys.exit(os.open(os.devnull, os.O_RDONLY))"
    )
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", code]
    assert subprocess.run(command, stdin=subprocess.DEVNULL).returncode > 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_on_a_full_disk_stops_no_run(folder, monkeypatch):
    """2>LOG, say, on the disk that the results are not on."""
    with open("/dev/full", "w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT) == 0
        assert_result(folder)
        assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT, "--seed", "-1") == 2
        assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT, "--brush") == 2
        with contextlib.suppress(OSError):
            log.close()
    process = through_a_shell(folder, "2>/dev/full", *SELECT, "--tolerance", "2")
    assert process.returncode == 2


class Log(io.StringIO):
    """A stream whose disk may fill up."""

    full = False

    def write(self, text):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_disk_that_fills_up_under_the_log_stops_no_run(folder, monkeypatch):
    log = Log()
    monkeypatch.setattr(sys, "stderr", log)
    pressing(monkeypatch, 1, lambda: setattr(log, "full", True))
    assert run(folder, *HARMONIZE, "-o", "OUT", *SHORT) == 0
    assert_result(folder)
    assert "is free to change" in log.getvalue() and "2/2" not in log.getvalue()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals")
def test_a_terminal_that_is_closed_keeps_the_best_so_far(folder):
    """The program is sent SIGHUP, and what it says from then on fails."""
    ours, its = os.openpty()
    arguments = typed(folder, [*HARMONIZE, "-o", "OUT", "--scale", "1", "--iterations", "100000", "--save-every", "1"])
    code = (  # as a shell of that terminal does
        "import fcntl, os, signal, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *PROGRAM, *arguments], cwd=folder, stdin=its, stdout=its, stderr=its
    )
    try:
        os.close(its)
        os.set_blocking(ours, False)
        until = time.monotonic() + 300
        while not (folder / "out_0003.png").exists():
            assert process.poll() is None and time.monotonic() < until
            try:
                os.read(ours, 100_000)  # else the program would wait for somebody to read
            except BlockingIOError:
                time.sleep(0.02)
        os.close(ours)
        assert process.wait(120) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()
    report = assert_result(folder)
    assert report["interrupted"] and report["iterations"] >= 3


def test_keras_loads_no_matplotlib_and_others_still_can():
    """It would take a quarter of a second of every command; the garbage collector goes on afterwards."""
    code = """
import gc, sys
from reproduce.network.backend import ops
ops.zeros(1)
assert gc.isenabled() and gc.get_freeze_count() > 100_000
assert not [name for name in sys.modules if name.startswith("matplotlib")]
import matplotlib.pyplot
import matplotlib.figure
assert matplotlib.pyplot.figure
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
