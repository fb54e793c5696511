"""In place of `python -m reproduce` where the page's queue is tested: it says and leaves what that would, at once.

--iterations N makes N steps of a twentieth of a second; --seed 2 ends in a mistake, --seed 9 in SIGKILL.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def value(name, default):
    words = [word for word in sys.argv if word.startswith(f"--{name}=")]
    return int(words[-1].partition("=")[2]) if words else default


if sys.argv[1] == "paste":
    shutil.copy(sys.argv[2], "composite.png")
    shutil.copy("object_mask.png", "mask.png")
    sys.exit()
stopped = []
signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
print(json.dumps({"notice": "This is no network."}), flush=True)
iterations = value("iterations", 2)
for number in range(1, iterations + 1):
    if value("seed", 0) == 2:
        sys.exit("reproduce: error: Expected something else. Received: this")
    if value("seed", 0) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    share = number / iterations
    step = {"stage": "optimizing", "done": number, "total": iterations, "loss": 1 / number, "share": share, "left": 1}
    try:
        print(json.dumps(step), flush=True)
    except BrokenPipeError:
        sys.exit(1)
    if stopped:
        break
shutil.copy(sys.argv[2], "result.png")
Path("result.json").write_text(json.dumps({"application": "harmonize", "settings": {}, "trace": []}))
sys.exit(143 if stopped else 0)
