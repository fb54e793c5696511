"""python -m reproduce: what only a program may set for its process, then the command line."""

import os
import sys

# NumPy's and SciPy's vectors are short: threads gain them nothing, and spin idly where the convolutions want the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter is not ours to print
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")  # refused before it is decoded: images.arrays
# A stream that was closed before we started would be taken by the next file that is opened, and written into.
while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
os.close(descriptor)
sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115

from .command_line import main  # noqa: E402

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
