"""Many runs in one process, as in a program that others use: memory does not grow with their number."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reproduce import VGG19, change, harmonize, restyle_region, stylize
from reproduce.presets import PAPER, PAPER_BASE

SHORT = {"style_layers": ("block1_conv1",), "content_weight": 0.0, "content_layers": (), "iterations": 1, "scale": 1.0}
SMALL, SMALL_BASE = change(PAPER, **SHORT, patch_size=1), change(PAPER_BASE, **SHORT)
NETWORK = VGG19(width=0.05)
COUNTED = (3, 30)  # runs of each application


def run_each(random):
    """One run of each application, of other sizes than the one before."""

    def image():
        return random.random((*random.integers(40, 90, 2), 3), np.float32)

    stylize(image(), image(), SMALL_BASE, network=NETWORK)
    restyle_region(image(), image(), [(3, 4), (31, 5), (32, 30), (2, 34)], SMALL_BASE, network=NETWORK)
    background = image()
    mask = np.zeros(background.shape[:2], np.float32)
    top, left = random.integers(0, 20, 2)
    mask[top : top + 9, left : left + 12] = 1
    harmonize(background, 1 - background, mask, SMALL, network=NETWORK)


def measure():
    """Bytes and Python's objects that the process holds after so many runs as COUNTED has."""
    random, held = np.random.default_rng(0), []
    for number in range(1, COUNTED[-1] + 1):
        run_each(random)
        if number in COUNTED:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            held.append((pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects())))
    return held


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")
def test_memory_does_not_grow_with_the_number_of_runs():
    code = "import json, test_memory; print(json.dumps(test_memory.measure()))"
    tests = Path(__file__).parent
    path = {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | path)
    assert process.returncode == 0, process.stderr[-3000:]
    (bytes_early, objects_early), (bytes_late, objects_late) = json.loads(process.stdout)
    assert bytes_late < 1.2 * bytes_early
    assert objects_late < 1.01 * objects_early
