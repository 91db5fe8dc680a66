"""Typed objects to the API's JSON: one way, so that a tree is the same bytes each time.

What is unset is left out: under server-side apply a field that is sent is a field that is owned,
and an empty list would own what another controller fills in. An object that is empty on purpose
(`emptyDir: {}`, a selector of everything) means something, and stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, cast

from lightkube.core.dictmixin import DictMixin

from clusters.model import Manifest

FIRST = ("apiVersion", "kind", "name", "namespace", "metadata", "spec")
"""Keys in the order that people read them; the others follow as declared."""


def document(value: object) -> Manifest:
    """The object as plain data of JSON, keys in a stable order, None and empty values left out.

    Args:
        value: An object of lightkube's models, or a dataclass of ours whose field `ray_version`
            stands for the API's `rayVersion`; both may hold the other.
    """
    return cast(Manifest, _plain(value))


def _plain(value: Any) -> Any:
    """An object that is empty comes back as `{}`; an empty mapping or list as None."""
    if isinstance(value, DictMixin) or dataclasses.is_dataclass(value):
        return _ordered(dict(_kept(_fields(value))))
    if isinstance(value, Mapping):
        return dict(_kept(value.items())) or None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value] or None
    return value


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, DictMixin):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return ((written, getattr(value, name)) for written, name in names)
    return ((_camel(f.name), getattr(value, f.name)) for f in dataclasses.fields(value))


def _kept(items: Any) -> Iterator[tuple[str, Any]]:
    plain = ((key, _plain(value)) for key, value in items)
    return ((key, value) for key, value in plain if value is not None)


def _ordered(found: dict[str, Any]) -> dict[str, Any]:
    first = {key: found[key] for key in FIRST if key in found}
    return first | found


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
