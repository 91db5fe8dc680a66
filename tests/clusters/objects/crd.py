"""An object against a CRD's schema, as a strict API server takes it: unknown fields are refused.

Structure only: types, required and unknown fields, enumerations, patterns, bounds. Rules in CEL and
formats are the real server's, in tests/kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "engines/kuberay/ray.io_rayservices.yaml"
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
    "number": (int, float),
}  # fmt: skip


@cache
def rayservice_schema() -> dict[str, Any]:
    """The schema of `ray.io/v1` RayServices."""
    versions = yaml.safe_load(FILE.read_text())["spec"]["versions"]
    found: dict[str, Any] = next(v for v in versions if v["name"] == "v1")
    schema: dict[str, Any] = found["schema"]["openAPIV3Schema"]
    return schema


def faults(value: Any, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """What is wrong with `value`, each with its path."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield f"{where}: {value!r} is neither a number nor a text"
        elif isinstance(value, str):
            yield from _of_text(value, schema, where)
        return
    kind = schema.get("type", "object")
    if not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        yield f"{where}: {value!r} is no {kind}"
    elif isinstance(value, dict):
        yield from _of_object(value, schema, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults(item, schema["items"], f"{where}[{index}]")
    elif isinstance(value, str):
        yield from _of_text(value, schema, where)
    elif value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield f"{where}: {value} is out of bounds"


def _of_object(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}: {name} is missing"
    if not where or where == ".metadata":  # ObjectMeta is the API server's own, not the CRD's
        known = {"name", "namespace", "labels", "annotations"} if where else set()
        open_fields = {name: {"type": "object", "additionalProperties": {"type": "string"}}
                       if name in ("labels", "annotations") else {"type": "string"}
                       for name in known}  # fmt: skip
        schema = {**schema, "properties": {**schema.get("properties", {}), **open_fields}}
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            yield from faults(item, properties[name], f"{where}.{name}")
        elif isinstance(others, dict):
            yield from faults(item, others, f"{where}.{name}")
        else:
            yield f"{where}: {name} is unknown"


def _of_text(value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} does not match {schema['pattern']}"
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{where}: {value!r} is too long"
