"""The sections of a spec that name adapters; what cannot be meant by them: `adapter_rules`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llmops.spec.bounds import Form
from llmops.spec.document import Section
from llmops.spec.names import Name


class Adapter(Section):
    """A low-rank adapter over the model's weights; what asks for it is answered with both."""

    source: Annotated[
        str,
        Field(json_schema_extra={"pattern": "^(run://[a-z][-a-z0-9]*/[1-9][0-9]*$|file:///.)"}),
        Form("an address such as run://support-style/3"),
    ]
    """Where it lies: `run://NAME/N` is what run N of `llmops finetune` has made, `file:///path` a
    folder in peft's format. Only safetensors are loaded, and each file's digest is checked before
    every load."""

    despite_gate: (
        Annotated[str, Field(min_length=1, max_length=200), Form("a reason, in a few words")] | None
    ) = None
    """Why it is served although its evaluation refused it. Without a reason such an adapter is
    refused. The reason stays in the history."""


Adapters = Annotated[
    dict[Name, Adapter],
    Field(max_length=64),
    Form("a mapping of model names to adapters"),
]
"""Adapters by the name that requests ask for them by."""

__all__ = ["Adapter", "Adapters"]
