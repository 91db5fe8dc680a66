"""Values of a policy as plain data: what JSON, YAML and a person can be shown."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

AS_IT_IS = (bool, int, float, str, type(None))
"""Types that are printed as they are; a unit is a number that prints with its unit instead."""


def at(section: Any, path: str) -> Any:
    """The value of a field by its dotted path."""
    for step in path.split("."):
        section = getattr(section, step)
    return section


def plain(value: Any) -> Any:
    """A value as plain data."""
    if isinstance(value, BaseModel):
        return {
            name: plain(getattr(value, name))
            for name in type(value).model_fields
            if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return value if type(value) in AS_IT_IS else str(value)
