"""Units as types: a size, a time and a replica range know how to be read, printed and compared.

`parse(str(x)) == x` for each. A number without a unit is refused where a unit is due, because
`16` may mean bytes, MiB or GB, and each reading has cost somebody an outage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic.json_schema import JsonSchemaValue

from llmops.texts import Text

__all__ = ["Bytes", "Duration", "Replicas"]

_NUMBER = r"(0|[1-9][0-9]{0,29})(?:\.([0-9]{1,30}))?"


class _Quantity(Text, int):
    """An integer number of a base unit, written as a number and a unit."""

    UNITS: ClassVar[dict[str, int]]
    PRINTED: ClassVar[tuple[str, ...]]
    EXAMPLE: ClassVar[str]
    LIMIT: ClassVar[int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text`, such as `EXAMPLE`.

        Raises:
            ValueError: When there is no number, no unit, an unknown unit, a fraction of the base
                unit, or more than `LIMIT`.
        """
        units = "|".join(sorted(cls.UNITS, key=len, reverse=True))
        match = re.fullmatch(rf"{_NUMBER}\s?({units})", text.strip(), flags=re.ASCII)
        if match is None:
            raise ValueError(cls._expected(text))
        whole, fraction, unit = match.groups()
        digits = fraction or ""
        scaled = int(whole + digits) * cls.UNITS[unit]
        value, rest = divmod(scaled, 10 ** len(digits))
        if rest:
            raise ValueError(f"expected a whole number of {cls.PRINTED[-1]}, found '{text}'")
        if value > cls.LIMIT:
            raise ValueError(f"expected at most {cls(cls.LIMIT)}, found '{text}'")
        return cls(value)

    @classmethod
    def _expected(cls, found: object) -> str:
        units = ", ".join(cls.UNITS)
        text = str(found)
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        return f"expected a number and a unit ({units}), such as '{cls.EXAMPLE}', found '{shown}'"

    def __str__(self) -> str:
        for unit in cls_units(type(self)):
            size = type(self).UNITS[unit]
            if self and self % size == 0:
                return f"{int(self) // size}{unit}"
        return f"{int(self)}{type(self).PRINTED[-1]}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self}')"

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(cls._expected(value))

    @classmethod
    def _json_schema(cls) -> JsonSchemaValue:
        units = "|".join(cls.UNITS)
        return {
            "type": "string",
            "pattern": rf"^[0-9]+(\.[0-9]+)?\s?({units})$",
            "examples": [cls.EXAMPLE],
        }


def cls_units(cls: type[_Quantity]) -> tuple[str, ...]:
    """The units that `cls` prints with, largest first."""
    return cls.PRINTED


class Bytes(_Quantity):
    """A size in bytes, written as `16GiB` (2^30) or `16GB` (10^9).

    Kubernetes' `16Gi` is read as `16GiB`.
    """

    UNITS: ClassVar[dict[str, int]] = {
        "TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10,
        "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3,
        "Ti": 2**40, "Gi": 2**30, "Mi": 2**20, "Ki": 2**10, "B": 1,
    }  # fmt: skip
    PRINTED = ("TiB", "GiB", "MiB", "KiB", "B")
    EXAMPLE = "16GiB"
    LIMIT = 2**60

    def human(self) -> str:
        """About, for people: three figures and a binary unit (`257MiB`, `1.25GiB`)."""
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            size = self.UNITS[unit]
            if self >= size:
                # Above three figures a float's three would be printed with an exponent.
                return f"{self / size:.3g}{unit}" if self < 999 * size else f"{self // size}{unit}"
        return f"{int(self)}B"


class Duration(_Quantity):
    """A time in milliseconds, written as `500ms`, `30s`, `5min`, `2h` or `7d`."""

    UNITS: ClassVar[dict[str, int]] = {
        "d": 86_400_000,
        "h": 3_600_000,
        "min": 60_000,
        "ms": 1,
        "s": 1000,
    }
    PRINTED = ("d", "h", "min", "s", "ms")
    EXAMPLE = "5min"
    LIMIT = 365 * 86_400_000

    @property
    def seconds(self) -> float:
        """The same time in seconds."""
        return self / 1000


@dataclass(frozen=True, slots=True, order=True)
class Replicas(Text):
    """A number of replicas, or a range of them: `2`, `1..4`, `0..4`."""

    low: int
    high: int

    LIMIT: ClassVar[int] = 1000

    @classmethod
    def parse(cls, text: str) -> Replicas:
        """Read `2` or `1..4`.

        Raises:
            ValueError: When it is neither, is reversed, or ends below 1 or above 1000.
        """
        match = re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", text.strip(), flags=re.ASCII)
        if match is None:
            raise ValueError(f"expected a number or a range such as '1..4', found '{text}'")
        low = int(match.group(1))
        high = int(match.group(2) or low)
        if low > high:
            raise ValueError(f"expected the smaller number first ('{high}..{low}'), found '{text}'")
        if high < 1 or high > cls.LIMIT:
            raise ValueError(f"expected 1 to {cls.LIMIT} replicas, found '{text}'")
        return cls(low, high)

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}..{self.high}"

    @classmethod
    def _validate(cls, value: Any) -> Replicas:
        if isinstance(value, cls):
            return value
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return cls.parse(str(value))
        raise ValueError(f"expected a number or a range such as '1..4', found '{value}'")

    @classmethod
    def _json_schema(cls) -> JsonSchemaValue:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": cls.LIMIT},
                {"type": "string", "pattern": r"^[0-9]+(\.\.[0-9]+)?$"},
            ]
        }
