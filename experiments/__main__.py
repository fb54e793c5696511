"""python -m experiments: what only a program may set for its process, then the command line."""

import os
import sys

# As in reproduce/__main__.py, which says why.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")
while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
os.close(descriptor)
sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115

from .command_line import main  # noqa: E402

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
