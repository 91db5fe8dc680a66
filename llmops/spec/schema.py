"""The JSON Schema of the spec, and of other kinds of file, for editors. Pure.

It knows types, ranges and keys. What only comparing values can tell (`contradictions`) and what
only the file's text shows (`parse`) it does not know, so `llmops validate` refuses more.
"""

from __future__ import annotations

from typing import Any

from llmops.spec.document import Section
from llmops.spec.models import Deployment

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of one whole file; a file that overlays another may lack what it requires."""
    return schema_of(Deployment, "llmops.yaml")


def schema_of(model: type[Section], title: str) -> dict[str, Any]:
    """The schema of a file that `model` describes."""
    made: dict[str, Any] = _tidy(model.model_json_schema())
    return {"$schema": _DRAFT, "title": title, **made}


def _tidy(value: Any) -> Any:
    """Without the titles that repeat keys and the defaults that repeat whole sections."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy: dict[str, Any] = {}
    for key, inner in value.items():
        if key == "properties":
            tidy[key] = {name: _tidy(field) for name, field in inner.items()}
        elif key == "description":
            tidy[key] = " ".join(inner.split())
        elif key != "title" and not (key == "default" and isinstance(inner, dict)):
            tidy[key] = _tidy(inner)
    if "patternProperties" in tidy:  # keys of the user's own, of one form
        tidy.setdefault("additionalProperties", False)
    return tidy
