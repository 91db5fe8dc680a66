"""Whether vLLM 0.32 serves a model at all; its memory is reckoned either way. Pure.

The lists are the engine's own (`_PREVIOUSLY_SUPPORTED_MODELS` and `_OOT_SUPPORTED_MODELS` of its
`model_executor/models/registry.py`), less the classes that no reader of `architecture` knows. A
class in no list is left to the engine: it serves many through transformers' own code.
"""

from __future__ import annotations

from llmops.planning.architecture import Profile
from llmops.planning.quantisation import Quantisation

PLUGINS = frozenset(
    {"BartModel", "BartForConditionalGeneration", "Florence2ForConditionalGeneration",
     "MBartForConditionalGeneration"}
)  # fmt: skip
"""Served by a plugin that is not part of vLLM."""

UNTIL = {
    "MllamaForConditionalGeneration": "0.10.2", "Phi3SmallForCausalLM": "0.9.2",
    "ErnieModel": "0.23.0", "InternLMForCausalLM": "0.23.0", "QWenLMHeadModel": "0.23.0",
    "XverseForCausalLM": "0.23.0", "Dots1ForCausalLM": "0.23.0", "BambaForCausalLM": "0.23.0",
    "MiniMaxForCausalLM": "0.23.0", "BaichuanForCausalLM": "0.23.0", "AquilaForCausalLM": "0.24.0",
    "Grok1ForCausalLM": "0.24.0", "AyaVisionForConditionalGeneration": "0.24.0",
    "PersimmonForCausalLM": "0.25.0", "FuyuForCausalLM": "0.25.0", "Plamo2ForCausalLM": "0.26.0",
    "OuroForCausalLM": "0.26.0", "ArcticForCausalLM": "0.28.0", "GritLM": "0.28.0",
    "ChameleonForConditionalGeneration": "0.28.0", "MPTForCausalLM": "0.28.0",
    "MptForCausalLM": "0.28.0", "RWForCausalLM": "0.28.0", "StableLMEpochForCausalLM": "0.28.0",
}  # fmt: skip
"""The last version that served them."""

ENCODERS = frozenset({"whisper"})
"""Model types of encoder and decoder that are served; all others went with the engine's V0."""


def why_unserved(profile: Profile, how: Quantisation | None) -> str:
    """Why vLLM 0.32 does not serve a model as it is, in a sentence without a full stop; empty when
    nothing is known against it.

    Args:
        profile: The model.
        how: How it is quantised.
    """
    if how is not None and how.unloadable:
        return f"vLLM 0.32 does not load {how.method} weights like these: {how.unloadable}"
    if profile.name in PLUGINS:
        return f"vLLM 0.32 serves {profile.name} only with a plugin that is not part of it"
    if (last := UNTIL.get(profile.name)) is not None:
        return f"vLLM has not served {profile.name} since its version {last}"
    if profile.encoder and profile.model_type not in ENCODERS:
        return f"vLLM 0.32 does not serve {profile.name}: it has an encoder and a decoder"
    return ""
