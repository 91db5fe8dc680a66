"""The form of a name: of a service, a key, a model that requests ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llmops.spec.bounds import Form

DNS_LABEL = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"

Name = Annotated[
    str,
    Field(pattern=DNS_LABEL),
    Form(
        "a name of at most 40 lower-case letters, digits and hyphens that begins with a letter"
        " and does not end with a hyphen"
    ),
]

__all__ = ["DNS_LABEL", "Name"]
