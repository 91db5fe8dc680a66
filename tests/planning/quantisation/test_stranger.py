"""A quantisation's configuration is a stranger's: whatever is in it, there is an answer."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmops.planning.quantisation import read
from llmops.planning.refusal import Refusal
from tests.planning.quantisation import cases

GOOD = [case["config"] for case in cases.of("checkpoints").values()]
LLAMA = cases.architecture("llama-3.1-8b") | {"num_hidden_layers": 2}
WORDS = ["static", "dynamic", "group", "channel", "block", "float", "re:.*", "re:(", "NVFP4",
         "pack-quantized", "Linear", "lm_head", "gptq", "fp8", "modelopt", "*", "128x128",
         "\n"]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from([16, 32, 64, 128, 2**40, -(2**70)])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(WORDS)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(config: Any) -> list[tuple[Any, Any]]:
    """Every mapping and key inside."""
    if not isinstance(config, dict):
        return []
    return [(config, key) for key in config] + [p for v in config.values() for p in places(v)]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A good configuration with some fields replaced or removed."""
    config: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        found = places(config)
        if not found:
            break
        mapping, key = draw(st.sampled_from(found))
        if draw(st.booleans()):
            mapping[key] = draw(values)
        else:
            mapping.pop(key, None)
    return config


@settings(deadline=None, max_examples=400)
@given(damaged(), st.dictionaries(st.sampled_from(["BF16", "I32", "Q4_K"]), st.integers(-1, 9)))
@example({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"": {}, "+:": {}}}, {})
@example({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 3}}}, {})
@example({"quant_method": "modelopt", "quantization": 3}, {})
def test_any_quantisation_is_understood_or_refused(
    config: dict[str, Any], files: dict[str, int]
) -> None:
    answer = answered(config, files)
    if isinstance(answer, Refusal):
        assert answer.hint
        assert answer.path == "model.source"
        assert answer.message.isprintable(), answer.message
    elif answer is not None:
        assert 0 < answer <= 4 * cases.profile(LLAMA).parameters


def answered(config: dict[str, Any], files: dict[str, int]) -> Refusal | int | None:
    try:
        found = read(LLAMA | {"quantization_config": config}, files)
        return None if found is None else cases.stored(LLAMA, found)
    except Refusal as refusal:
        return refusal
