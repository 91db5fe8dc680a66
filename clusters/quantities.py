"""Quantities of the Kubernetes API, such as `500m`, `16Gi`, `1e3`: read into plain numbers.

The official client has a reader too, but a module that imports it takes seconds to start.
"""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([numkKMGTPE]?i?)", re.ASCII
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse(text: str | float) -> Decimal:
    """The number that a quantity stands for: cores, bytes, or pieces.

    Raises:
        ValueError: When it is none.
    """
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    number, suffix = Decimal(match[1]), match[2]
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    if suffix not in _DECIMAL:
        raise ValueError(f"{text!r} is not a quantity")
    return number * Decimal(10) ** _DECIMAL[suffix]


def whole(text: str | float) -> int:
    """A quantity as a whole number, rounded down."""
    return int(parse(text))
