"""The tokenizer of a model whose weights are elsewhere: what counts the tokens of a probe.

A target whose replicas fetch the weights themselves is still judged from here, by a count that is
independent of what it says. The tokenizer's files are small, and are kept beside the models.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from llmops.errors import ModelError
from serving.models.contents import MOST_TEXT, WEIGHTS, Listing

FOLDER = "tokenizers"


def folder(root: Path, family: str, revision: str) -> Path:
    """Where the tokenizer of a model at one revision is kept."""
    return root / FOLDER / family / revision[:40]


def fetch(listing: Listing, into: Path) -> Path:
    """Have everything of `listing` but weights in `into`; appears whole, or not at all.

    Raises:
        ModelError: When a file is longer than any tokenizer.
    """
    if into.is_dir():
        return into
    part = into.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for name, size in _small(listing).items():
        file = part / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(listing.read(name, 0, size))
    try:
        part.rename(into)
    except OSError:  # another command was quicker
        shutil.rmtree(part, ignore_errors=True)
    return into


def _small(listing: Listing) -> Mapping[str, int]:
    found = {name: size for name, size in listing.sizes.items() if not name.endswith(WEIGHTS)}
    for name, size in found.items():
        if size > MOST_TEXT:
            raise ModelError(f"{listing.where}/{name} has {size} bytes: no tokenizer is so large")
    return found
