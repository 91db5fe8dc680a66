"""A `config.json` read: by who knows its kind, else from its weights or estimated, else refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops.planning.architecture.families import READERS
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.headers import from_headers
from llmops.planning.architecture.profile import Profile
from llmops.planning.architecture.unknown import estimate
from llmops.planning.model import Tensor


def read(
    config: Mapping[str, Any],
    parameters: int = 0,
    weight_bytes: int = 0,
    tensors: Sequence[Tensor] = (),
) -> Profile:
    """Read a configuration.

    Args:
        config: The parsed `config.json`; whatever is in it.
        parameters: Counted in the headers of the weight files; 0 when they were not read.
        weight_bytes: Bytes of tensors in them; 0 likewise.
        tensors: What those headers list; looked at where the kind is not known.

    Raises:
        Refusal: When a deciding field is missing or absurd, or the kind cannot be reckoned with.
    """
    fields = Fields(config)
    reader = READERS.get(fields.model_type)
    if reader is not None:
        return reader(fields)
    if tensors:
        return from_headers(fields, tensors)
    return estimate(fields, parameters, weight_bytes)


def known() -> tuple[str, ...]:
    """Every `model_type` that is read exactly."""
    return tuple(sorted(READERS))
