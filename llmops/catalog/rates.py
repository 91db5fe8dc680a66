"""How rates are written in the catalogue: bytes, bits or operations a second, with their unit.

A number alone is refused where a rate is due: `900` may mean GB/s or Gbit/s, and both stand in
datasheets. Prefixes are decimal here, as they are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator

from llmops.spec import Form

_PREFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_NUMBER = r"(?P<number>(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?)"
_UNITS = {
    "B/s": "B/s",
    "bit/s": r"(?:bit/s|bps)",
    "op/s": r"(?:FLOPS|OPS)",
}


def parse(text: object, unit: str) -> float:
    """A rate as written, such as `3.35TB/s`, `3200Gbit/s` or `989.4TFLOPS`.

    Args:
        text: What stands in the file.
        unit: `B/s`, `bit/s` or `op/s`.

    Raises:
        ValueError: When it is no such rate, or none at all.
    """
    pattern = rf"{_NUMBER}\s?(?P<prefix>[kMGTPE]?){_UNITS[unit]}"
    match = re.fullmatch(pattern, text.strip(), re.ASCII) if isinstance(text, str) else None
    if match is None:
        raise ValueError("no rate")
    # Decimal, so that 2.039TB/s is 2039000000000 and not a fraction more.
    value = float(Decimal(match["number"]) * _PREFIXES.get(match["prefix"], 1))
    if not value or value > 1e21:
        raise ValueError("no rate that a device can have")
    return value


def shown(value: float, unit: str) -> str:
    """The rate with the largest prefix that leaves at least one: `3.35TB/s`, `989.4Top/s`."""
    for prefix, factor in reversed(_PREFIXES.items()):
        if value >= factor:
            return f"{value / factor:.6g}{prefix}{unit}"
    return f"{value:.6g}{unit}"


def _reads(unit: str) -> Callable[[object], float]:
    return lambda text: parse(text, unit)


ByteRate = Annotated[
    float,
    BeforeValidator(_reads("B/s")),
    Form("a rate such as '3.35TB/s'", "write the number and its unit: GB/s or TB/s"),
]
BitRate = Annotated[
    float,
    BeforeValidator(_reads("bit/s")),
    Form("a rate such as '3200Gbit/s'", "write the number and its unit: Gbit/s or Tbit/s"),
]
OpRate = Annotated[
    float,
    BeforeValidator(_reads("op/s")),
    Form("a rate such as '989.4TFLOPS'", "write the number and its unit: TFLOPS or TOPS"),
]
