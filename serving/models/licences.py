"""Under what licence a model is given, as its own card or file says.

A card is a README with a head of YAML; the hub reads it for us, of a directory or a bucket we read
it ourselves. What says nothing, or names several, is unknown: a policy then refuses it rather than
guess. Nothing here is proof of a right: it is what whoever published the model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

CARD = "README.md"

MOST_CARD = 2**20
"""Bytes of a card that are read; its head is at the beginning."""

OTHER = "other"
"""What the hub calls a licence that it has no id for; `license_name` then names it."""

_HEAD = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_() -]{0,79}", re.ASCII)


def stated(said: Mapping[str, Any]) -> str:
    """The licence that a card's data say, in lower case; empty when they say none, or several."""
    licence = said.get("license")
    if isinstance(licence, list):
        licence = licence[0] if len(licence) == 1 else None
    if licence == OTHER:
        licence = said.get("license_name")
    return licence.lower() if isinstance(licence, str) and _NAME.fullmatch(licence) else ""


def of_card(content: bytes) -> str:
    """The licence that a card says; empty when it says none that can be read."""
    found = _HEAD.match(content.decode("utf-8", "replace").replace("\r\n", "\n"))
    try:
        said = yaml.safe_load(found[1]) if found else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    return stated(said) if isinstance(said, dict) else ""
