"""What can be set, as a form needs it: made from the registry and the settings' fields, like the command line."""

from typing import Any

from ..applications.registry import APPLICATIONS, Application
from ..images.arrays import MAXIMUM_PIXELS
from ..losses import STYLE_LOSSES
from ..settings import leaves

FIRST = ("strength", "keep_colors", "iterations", "scale")  # shown at once, beside the preset
LARGEST_UPLOAD = 200_000_000  # bytes


def forms() -> dict[str, Any]:
    """Of each application its presets and settings; and what an upload may be at most."""
    return {
        "applications": {name: _form(application) for name, application in APPLICATIONS.items()},
        "limits": {"bytes": LARGEST_UPLOAD, "pixels": MAXIMUM_PIXELS},
    }


def _form(application: Application) -> dict[str, Any]:
    style_loss = {
        "name": "style_loss",
        "group": "style",
        "help": "how styles are compared",
        "kind": "choice",
        "choices": list(STYLE_LOSSES),
        "losses": [],
        "first": False,
    }
    settings = [style_loss] + [
        {
            "name": leaf.name,
            "group": group,
            "help": leaf.metadata["help"],
            "kind": "choice" if leaf.metadata["choices"] else type(leaf.default).__name__,
            "choices": list(leaf.metadata["choices"]),
            "losses": list(losses),
            "first": leaf.name in FIRST,
        }
        for group, leaf, losses in leaves()
        if not leaf.metadata["only"] or application.name in leaf.metadata["only"]
    ]
    defaults = {leaf.name: leaf.default for _, leaf, _ in leaves()}
    presets = {name: defaults | settings.as_dict() for name, settings in application.presets.items()}
    return {"help": application.help, "presets": presets, "settings": settings}
