"""Fixtures that several test modules use, and the environment that the tests, a program of their own, run in."""

import os

# Before NumPy and Keras are first imported, for they read these then.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# A program that was started in the background of a script ignores Ctrl-C, and so would the programs that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

TESTS = Path(__file__).parent
MATERIALS = TESTS.parents[1] / "shared" / "materials"


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def materials() -> Path:
    """The photos, paintings and scenes beside the checkout: the one place outside the repository that a test reads."""
    if not MATERIALS.is_dir():
        pytest.skip("the folder ../shared/materials does not stand beside this checkout")
    return MATERIALS


@pytest.fixture(scope="session")
def in_float64():
    """Evaluate `module.function(...)` where Keras computes in float64; its result has to survive JSON.

    In a process of its own, because Keras takes a change of precision only before any layer exists.
    """

    def evaluate(call: str):
        module = call.split(".")[0]
        code = f"import keras, json; keras.config.set_floatx('float64')\nimport {module}; print(json.dumps({call}))"
        path = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | path)
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.splitlines()[-1])

    return evaluate
