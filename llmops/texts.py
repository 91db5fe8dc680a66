"""Values that are written as text: how pydantic reads them, prints them and describes them.

A value's own class says how it is read (`_validate`) and what its text looks like (`_json_schema`);
that it is read by nothing else, and printed as it prints itself, is said once, here.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Text:
    """A value that pydantic reads by `_validate` and writes by `str`."""

    __slots__ = ()

    @classmethod
    def _validate(cls, value: Any) -> Self:
        """The value that was written as `value`, or is one already.

        Raises:
            ValueError: When it is none; says what was expected.
        """
        raise NotImplementedError

    @classmethod
    def _json_schema(cls) -> JsonSchemaValue:
        """What its text looks like, as JSON Schema."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return cls._json_schema()


__all__ = ["Text"]
