"""Checkpoints whose experts alone are stored in 4 or 8 bits: `mxfp4` (gpt-oss), `experts_int8`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmops.planning.architecture import Role
from llmops.planning.quantisation import packing
from llmops.planning.quantisation.section import Section, listed
from llmops.planning.quantisation.value import Group, Quantisation, Tile, sentence

_MARLIN = (256, 128)
_TILES = {
    "gpt_oss": (Tile(80, *_MARLIN), Tile(90, 1, 64), Tile(100, 256, 128), Tile(120, *_MARLIN)),
}
"""Kernels that vLLM 0.32 prefers (`fused_moe/oracle/mxfp4.py`): Marlin up to Ada and on consumer
Blackwell, Triton on Hopper, TensorRT-LLM's on data centre Blackwell."""

_EXPERTS: frozenset[Role] = frozenset({"expert"})


def mxfp4(section: Section) -> Quantisation:
    """vLLM stores the experts so, whatever the list of modules says; the rest stays as it is."""
    listed(section.fields, "modules_to_not_convert")
    return Quantisation(
        method="mxfp4",
        words=sentence("mxfp4 experts in groups of 32", _EXPERTS, section.dtype),
        groups=(Group(packing.MXFP4, _EXPERTS),),
        needs=80,
        tiles=_TILES.get(section.model_type, (Tile(80, *_MARLIN),)),
    )


def experts_int8(section: Section) -> Quantisation:
    """The experts are made int8 while they are loaded, with a scale for each output."""
    return Quantisation(
        method="experts_int8",
        words=sentence("int8 experts with a scale for each output", _EXPERTS, section.dtype),
        groups=(Group(packing.INT8_CHANNEL, _EXPERTS),),
        needs=80,
    )


READERS: Mapping[str, Callable[[Section], Quantisation]] = {
    "mxfp4": mxfp4,
    "gpt_oss_mxfp4": mxfp4,
    "experts_int8": experts_int8,
}
