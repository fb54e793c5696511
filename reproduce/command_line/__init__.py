"""The command line: reproduce stylize | restyle-region | harmonize | select | paste | plan."""

import cv2

from ..errors import InputError
from ..files import WriteError
from ..network.features import VGG19
from .commands import NOT_WRITTEN, fail, reason, stopped
from .parser import listed, make_parser

__all__ = ["listed", "main"]


def main(arguments: list[str] | None = None, network: VGG19 | None = None) -> int:
    """Run one command; a user's mistake becomes one line and exit code 2, what cannot be written exit code 1.

    Args:
        arguments: as typed, without the program's name; None for those of the process.
        network: in place of VGG-19 with the weights that are found or fetched.
    """
    options = make_parser().parse_args(arguments)
    options.network = network
    try:
        return options.run(options)
    except KeyboardInterrupt as interrupt:
        return stopped(*interrupt.args)
    except MemoryError as error:
        return fail(f"out of memory ({error}): lower --scale, or for large images --matching-memory")
    except WriteError as error:
        return fail(reason(error), NOT_WRITTEN)
    except (InputError, OSError) as error:
        return fail(str(error))
    except Exception as error:
        # OpenCV's, and TensorFlow's without naming it here.
        if getattr(error, "code", None) == cv2.Error.StsNoMem or type(error).__name__ == "ResourceExhaustedError":
            return fail("out of memory: lower --scale, or use a smaller image or region")
        raise
