"""Descriptor 2, where libraries write past Python: away while somebody wants silence, then what it was before."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread

import numpy as np
import pytest

from reproduce.terminal import silent_stderr

DESCRIPTORS = Path("/dev/fd")


def what_it_is():
    """Which file descriptor 2 is."""
    found = os.fstat(2)
    return found.st_dev, found.st_ino, found.st_rdev


def nowhere():
    found = os.stat(os.devnull)
    return found.st_dev, found.st_ino, found.st_rdev


@pytest.fixture(autouse=True)
def as_it_was():
    """No test leaves descriptor 2 other than it was, or another one open."""
    before, descriptors = what_it_is(), len(list(DESCRIPTORS.iterdir()))
    yield before
    assert what_it_is() == before
    assert len(list(DESCRIPTORS.iterdir())) == descriptors


def test_nothing_is_heard_inside_and_all_of_it_outside(capfd):
    os.write(2, b"before ")
    with silent_stderr():
        os.write(2, b"inside ")
        sys.stderr.flush()
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_standard_output_is_left_alone(capfd):
    with silent_stderr():
        os.write(1, b"inside")
    assert capfd.readouterr().out == "inside"


def test_an_error_inside_is_passed_on_and_descriptor_2_put_back(as_it_was):
    with pytest.raises(ZeroDivisionError), silent_stderr():
        _ = 1 / 0
    assert what_it_is() == as_it_was


def test_silence_within_silence(as_it_was):
    with silent_stderr():
        with silent_stderr():
            assert what_it_is() == nowhere()
        assert what_it_is() == nowhere()
    assert what_it_is() == as_it_was


def test_again_and_again(as_it_was):
    for _ in range(100):
        with silent_stderr():
            assert what_it_is() == nowhere()
        assert what_it_is() == as_it_was


@pytest.mark.parametrize("first_to_leave", [0, 1])
def test_of_two_threads_the_last_to_leave_puts_it_back(as_it_was, first_to_leave):
    """In either order: neither takes the other's silence for what descriptor 2 was."""
    entered, may_leave, left = ([Event(), Event()] for _ in range(3))

    def work(number):
        with silent_stderr():
            entered[number].set()
            may_leave[number].wait(10)
        left[number].set()

    threads = [Thread(target=work, args=[number]) for number in (0, 1)]
    for number in (0, 1):
        threads[number].start()
        assert entered[number].wait(10)
        assert what_it_is() == nowhere()
    for number, expected in ((first_to_leave, nowhere()), (1 - first_to_leave, as_it_was)):
        may_leave[number].set()
        assert left[number].wait(10)
        assert what_it_is() == expected
    for thread in threads:
        thread.join()


def test_many_threads_at_once(as_it_was):
    threads, rounds = 16, 50
    together = Barrier(threads)

    def work(seed):
        random = np.random.default_rng(seed)
        together.wait()
        for _ in range(rounds):
            with silent_stderr():
                assert what_it_is() == nowhere()
                if random.random() < 0.3:
                    with silent_stderr():
                        assert what_it_is() == nowhere()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    assert what_it_is() == as_it_was


# In a process of its own, which may close what it likes; it says on descriptor 1 what it found.
CLOSED = """
import os
from threading import Barrier, Thread
from reproduce.terminal import silent_stderr

def is_closed():
    try:
        os.fstat(2)
    except OSError:
        return True
    return False

def work():
    with silent_stderr():
        together.wait()
        together.wait()

os.close(2)
with silent_stderr():
    pass
assert is_closed()
together = Barrier(3)
threads = [Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
together.wait()
together.wait()
for thread in threads:
    thread.join()
assert is_closed()
{then}
print("well")
"""


OPENED_AGAIN = "os.dup2(1, 2)\nwith silent_stderr():\n    os.write(2, b'heard ')"


@pytest.mark.parametrize("then", ["", OPENED_AGAIN], ids=["closed", "opened again"])
def test_a_closed_descriptor_stays_closed(then):
    """A program without a terminal, such as a service, may have none; opened later, it is silenced like any other."""
    folder = Path(__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", CLOSED.format(then=then)], cwd=folder, capture_output=True, text=True
    )
    assert (process.returncode, process.stdout) == (0, "well\n")
