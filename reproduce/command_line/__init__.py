"""The command line: reproduce stylize | restyle-region | harmonize | select | paste | plan."""

from functools import partial

from ..network.features import VGG19
from .commands import guarded, stopped
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
        return guarded(partial(options.run, options))
    except KeyboardInterrupt as interrupt:
        return stopped(*interrupt.args)
