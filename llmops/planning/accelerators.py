"""A GPU of the catalogue, and its memory, by what a node's label or a user calls it."""

from __future__ import annotations

import re
from functools import cache

from llmops.catalog import Accelerator, Catalogue, accelerators_called, load_catalogue
from llmops.errors import InputError


@cache
def memory_of(name: str) -> int:
    """Bytes to plan with; of a family the least of its members. 0 when nobody is called so."""
    found = accelerators_of(load_catalogue(), name)
    return min((one.planned() or 0 for one in found), default=0)


def accelerators_of(catalogue: Catalogue, name: str) -> tuple[Accelerator, ...]:
    """The accelerator that is called so, or its whole family; none when nobody is.

    Labels write hyphens where drivers write spaces (`NVIDIA-H100-80GB-HBM3`), and clouds leave
    parts out (`nvidia-tesla-t4`).
    """
    words = _words(name)
    if not words:
        return ()
    for accelerator in catalogue.accelerators.values():
        called = (accelerator.name, *accelerator.aliases)
        if words in {_words(one) for one in called}:
            return (accelerator,)
    try:
        return accelerators_called(catalogue, name)
    except InputError:
        return ()


def _words(name: str) -> tuple[str, ...]:
    """The words of a name without those that makers put before every one."""
    found = re.split(r"[^a-z0-9]+", name.casefold())
    return tuple(word for word in found if word not in ("", "nvidia", "tesla"))
