"""How far back each layer of a decoder attends: everywhere, or only over a window of tokens.

Families say it in four ways; each function here reads one of them as transformers 5.19 does, and
vLLM 0.32 after it. None stands for a layer without a window.
"""

from __future__ import annotations

from llmops.planning.architecture.fields import Fields

Windows = tuple[int | None, ...]
"""One entry for each layer, in tokens."""

FULL = "full_attention"
SLIDING = "sliding_attention"


def size(fields: Fields, default: int | None = None) -> int | None:
    """`sliding_window` in tokens; null and 0 are none, and the default is for where it is missing.

    Raises:
        Refusal: When it is no number.
    """
    if not fields.says("sliding_window"):
        return default
    if not fields.has("sliding_window"):
        return None
    return fields.number("sliding_window", least=0) or None


def alike(fields: Fields, layers: int, default: int | None = None) -> Windows:
    """All layers have the window, unless `layer_types` tells them apart (Mistral, Phi-3).

    Raises:
        Refusal: When a field is absurd.
    """
    if fields.has("layer_types"):
        return by_type(fields, layers, 1, default)
    return (size(fields, default),) * layers


def by_type(fields: Fields, layers: int, every: int, default: int | None) -> Windows:
    """`layer_types`, or full attention in each `every`-th layer and windows in the others.

    Args:
        every: The family's pattern where the configuration has no list; 0: no layer is full.
        default: The family's window where the configuration has none.

    Raises:
        Refusal: When the list is of the wrong length or names another kind of layer.
    """
    window = size(fields, default)
    types = fields.texts("layer_types", layers)
    if types is None:
        return tuple(None if every and not (at + 1) % every else window for at in range(layers))
    other = next((kind for kind in types if kind not in (FULL, SLIDING)), None)
    if other is not None:
        raise fields.absurd("layer_types", "a list with a kind other than full or sliding")
    return tuple(window if kind == SLIDING else None for kind in types)


def all_or_none(fields: Fields, layers: int, default: int | None = None) -> int | None:
    """The window of models whose layers are all alike; None for full attention.

    vLLM 0.32 gives such a model's window to all layers or to none: to none where `layer_types`
    names a layer of another kind (`engine/arg_utils.py`).

    Raises:
        Refusal: When it is no whole number, or there is not a kind for each layer.
    """
    kinds = fields.texts("layer_types", layers) or ()
    if any(kind != SLIDING for kind in kinds):
        return None
    return size(fields, default)


def switched(fields: Fields, layers: int, default: int | None = 4096) -> Windows:
    """Windows only where `use_sliding_window` says so, from `max_window_layers` on (Qwen 2 and 3).

    Raises:
        Refusal: When a field is absurd.
    """
    on = fields.flag("use_sliding_window", default=False)
    if not on:
        return (None,) * layers
    if fields.has("layer_types"):
        return by_type(fields, layers, 1, default)
    first = fields.number("max_window_layers", default=28, least=0)
    window = size(fields, default)
    return tuple(window if at >= first else None for at in range(layers))
