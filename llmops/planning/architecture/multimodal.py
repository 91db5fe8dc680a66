"""Models that see: a decoder, and a vision tower with a projector into it.

The text part is planned as any decoder is; the tower and the projector are counted and cut. How
many tokens an image becomes is the request's matter and not reckoned here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from llmops.planning.architecture import audio, blocks, mllama, qwen_vision, vision
from llmops.planning.architecture.fields import Fields, printable
from llmops.planning.architecture.profile import Profile, Split, Weight, Whole
from llmops.planning.architecture.text import Reader, Readers, Tie, text, within
from llmops.planning.refusal import Refusal

PROJECTOR = "model.multi_modal_projector"
TOWER = "model.vision_tower"
JOINED = "features of the projector"


@dataclass(frozen=True, slots=True)
class Llava:
    """How a model of LLaVA's kind differs from the first of them."""

    tower: str = "clip_vision_model"
    """The tower's `model_type` where its section names none."""
    text: str = "llama"
    tie: Tie = "either"
    newline: bool = False
    """Whether there is a learnt vector for the end of a row of tiles."""
    parallel: bool = True
    """Whether vLLM cuts the projector."""


LLAVAS = {
    "llava": Llava(),
    "llava_next": Llava(tie="outer", newline=True),
    "llava_onevision": Llava("siglip_vision_model", "qwen2", newline=True, parallel=False),
}


def llava(kind: Llava, readers: Readers, fields: Fields) -> Profile:
    """LLaVA 1.5, LLaVA-NeXT and LLaVA-OneVision: a projector of two linear layers."""
    inner = text(fields, readers, kind.text, tie=kind.tie)
    seen = fields.section("vision_config")
    width = _width(seen, kind.tower) * fields.entries("vision_feature_layer")
    bias = fields.flag("multimodal_projector_bias", default=True)
    projector = _two_layers(width, inner.hidden, bias)
    newline = (vision.other("model.image_newline", inner.hidden),) if kind.newline else ()
    return within(
        fields,
        inner,
        (
            *newline,
            *tower(seen, kind.tower, TOWER),
            *(projector if kind.parallel else _whole(projector)),
        ),
    )


def mistral3(readers: Readers, fields: Fields) -> Profile:
    """Mistral Small 3.1 and later: Pixtral's tower, patches merged before the projector.

    The published files have a head of their own though their configuration leaves the field out,
    for which transformers would fill in that there is none; the engine reads the text part's.
    """
    inner = text(fields, readers, "mistral", tie="inner")
    seen = fields.section("vision_config")
    width = _width(seen, "pixtral")
    merged = width * fields.number("spatial_merge_size", default=2) ** 2
    bias = fields.flag("multimodal_projector_bias", default=False)
    projector = (
        *blocks.norm(f"{PROJECTOR}.norm", width),
        vision.other(f"{PROJECTOR}.patch_merger.merging_layer.weight", width, merged),
        *_two_layers(width * fields.entries("vision_feature_layer"), inner.hidden, bias),
    )
    return within(fields, inner, (*tower(seen, "pixtral", TOWER), *projector))


def gemma3(readers: Readers, fields: Fields) -> Profile:
    """Gemma 3 from 4B on: SigLIP, and one matrix into the text part."""
    inner = text(fields, readers, "gemma3_text", tie="inner", forced=True)
    seen = fields.section("vision_config")
    width = _width(seen, "siglip_vision_model")
    projector = (
        vision.other(f"{PROJECTOR}.mm_input_projection_weight", width, inner.hidden),
        *blocks.norm(f"{PROJECTOR}.mm_soft_emb_norm", width),
    )
    return within(fields, inner, (*vision.siglip(seen, TOWER), *projector))


def paligemma(readers: Readers, fields: Fields) -> Profile:
    """PaliGemma 1 and 2: SigLIP, and one linear layer into Gemma."""
    inner = text(fields, readers, "gemma", tie="inner")
    seen = fields.section("vision_config")
    width = _width(seen, "siglip_vision_model")
    joined = fields.number("projection_dim", default=2048)
    linear = blocks.linear(f"{PROJECTOR}.linear", joined, width, Whole(), bias=True, role="other")
    return within(fields, inner, (*tower(seen, "siglip_vision_model", TOWER), *linear))


def idefics3(readers: Readers, fields: Fields) -> Profile:
    """Idefics 3 and SmolVLM: patches are shuffled into fewer, wider ones before one matrix."""
    inner = text(fields, readers, "llama")
    seen = fields.section("vision_config")
    width = _width(seen, "idefics3_vision")
    merged = width * fields.number("scale_factor", default=2) ** 2
    connector = "model.connector.modality_projection.proj"
    return within(
        fields,
        inner,
        (
            *vision.idefics(seen, "model.vision_model"),
            *blocks.linear(connector, inner.hidden, merged, Whole()),
        ),
        decoder="model.text_model.",
    )


def internvl(readers: Readers, fields: Fields) -> Profile:
    """InternVL 3 as transformers has it: InternViT, and a projector that nothing cuts.

    For a missing `tie_word_embeddings` see `mistral3`.
    """
    inner = text(fields, readers, "qwen2", tie="inner")
    seen = fields.section("vision_config")
    shrunk = round(1 / fields.real("downsample_ratio", 0.5))
    merged = _width(seen, "internvl_vision") * shrunk**2
    return within(
        fields,
        inner,
        (
            *vision.internvl(seen, TOWER),
            *blocks.norm(f"{PROJECTOR}.layer_norm", merged, bias=True),
            *_whole(_two_layers(merged, inner.hidden, bias=True)),
        ),
    )


def llama4(readers: Readers, fields: Fields) -> Profile:
    """Llama 4 Scout and Maverick with their image encoder; its names begin at the top."""
    inner = text(fields, readers, "llama4_text", forced=True)
    seen = fields.section("vision_config")
    output = seen.number("vision_output_dim", default=7680)
    cut = Split(inner.hidden, JOINED)
    joined = blocks.linear("multi_modal_projector.linear_1", inner.hidden, output, cut)
    towers = (*vision.llama4(seen, "vision_model"), *vision.unquantised(joined))
    return within(fields, inner, towers, decoder="language_model.model.", head="language_model.")


def readers(decoders: Readers) -> dict[str, Reader]:
    """A reader for each `model_type` here, whose text parts are read by `decoders`."""
    found: dict[str, Reader] = {
        name: partial(llava, kind, decoders) for name, kind in LLAVAS.items()
    }
    found |= {name: partial(read, decoders) for name, read in _OTHERS.items()}
    for family in (audio, mllama, qwen_vision):
        found |= family.readers(decoders)
    return found


_OTHERS = {
    "mistral3": mistral3,
    "gemma3": gemma3,
    "paligemma": paligemma,
    "idefics3": idefics3,
    "smolvlm": idefics3,
    "internvl": internvl,
    "llama4": llama4,
}


def tower(seen: Fields, kind: str, prefix: str) -> tuple[Weight, ...]:
    """The tower that a section describes; `kind` when it does not name one.

    Raises:
        Refusal: When it is of a kind that is not known.
    """
    named = seen.model_type or kind
    read = vision.TOWERS.get(named)
    if read is None:
        raise Refusal(
            f"this version cannot plan {seen.name}: its vision tower is '{printable(named)}',"
            " which it does not know",
            hint=f"it knows {', '.join(sorted(vision.TOWERS))}",
            path="model.source",
        )
    return read(seen, prefix)


WIDTHS: Mapping[str, int] = {
    "clip_vision_model": 768,
    "siglip_vision_model": 768,
    "idefics3_vision": 1152,
    "pixtral": 1024,
    "internvl_vision": 1024,
}
"""Features of a tower where its section is silent."""


def _width(seen: Fields, kind: str) -> int:
    return seen.number("hidden_size", default=WIDTHS.get(seen.model_type, WIDTHS[kind]))


def _two_layers(inputs: int, outputs: int, bias: bool) -> tuple[Weight, ...]:
    """LLaVA's projector."""
    cut = Split(outputs, JOINED)
    return (
        *blocks.linear(f"{PROJECTOR}.linear_1", outputs, inputs, cut, bias=bias),
        *blocks.linear_in(f"{PROJECTOR}.linear_2", outputs, outputs, cut, bias=bias),
    )


def _whole(weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    """The same on every rank, where vLLM builds it of torch's own layers."""
    return tuple(Weight(w.name, w.shape, Whole(), "other") for w in weights)
