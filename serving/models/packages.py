"""A model inside an installed Python package: `pkg://module/file`.

The package is found, never imported: importing would run its code, which the model does not need.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from llmops.errors import ModelError
from serving.models.files import local
from serving.models.places import Place


def packaged(place: str) -> Place:
    """The place of `module/file`.

    Raises:
        ModelError: When the package is not installed, or has no such file.
    """
    module, _, name = place.partition("/")
    # Only the first part is looked up: to find a module inside a package, Python would import it.
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise ModelError(f"the package '{top}' cannot be found: {error}") from error
    roots = list(spec.submodule_search_locations or []) if spec else []
    if not roots:
        raise ModelError(
            f"the package '{top}' is not installed",
            hint="the demo's model comes with pip install 'llmops[local]'",
        )
    for root in roots:
        path = Path(root, *inner, name)
        if path.exists():
            return local(path)
    raise ModelError(f"the package '{module}' has no file '{name}'")
