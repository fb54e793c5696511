"""The program as `python -m reproduce` starts it, but with a small random network: python program.py COMMAND ..."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reproduce.__main__ import main

if __name__ == "__main__":
    from reproduce import VGG19

    sys.exit(main(sys.argv[1:], VGG19(width=0.05)))
