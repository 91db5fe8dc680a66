"""What a field's annotation says beside its type: bounds, and its form in words.

Beyond its bounds a size or a time is a slip of the pen and not a wish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, slots=True)
class Form:
    """What a text is the text of, in words: for `Annotated`. It checks nothing."""

    words: str
    hint: str = ""
    """What to do about a text that is none; empty where the field's type says it."""
    secret: bool = False
    """Whether somebody may write a secret here by mistake: what was found is never repeated."""


class OutOfBounds(ValueError):
    """A value of the right type that is too small or too large for its field."""


@dataclass(frozen=True, slots=True)
class Between:
    """From `low` to `high`, both allowed, as their type writes them: for `Annotated`."""

    low: str
    high: str
    example: str
    """A usual value, for messages."""

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        low, high = source.parse(self.low), source.parse(self.high)

        def check(value: Any) -> Any:
            if not low <= value <= high:
                raise OutOfBounds(f"expected {self.low} to {self.high}, found '{value}'")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))
