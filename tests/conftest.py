"""Fixtures that several test modules use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parent


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def in_float64():
    """Evaluate `module.function(...)` where Keras computes in float64; its result has to survive JSON.

    In a process of its own, because Keras takes a change of precision only before any layer exists.
    """

    def evaluate(call: str):
        module = call.split(".")[0]
        code = (
            "import reproduce, keras, json; keras.config.set_floatx('float64')\n"
            f"import {module}; print(json.dumps({call}))"
        )
        path = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | path)
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.splitlines()[-1])

    return evaluate
