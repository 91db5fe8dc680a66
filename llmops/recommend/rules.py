"""The rules of choice: each a sentence, a weight, and who found that it is so.

A rule is a function from a request and a candidate to a Reason or None. Weights are small whole
numbers of this project's own: 6 decides, 1 tips. Nothing is learned from data, so that each answer
can be argued with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmops.catalog import OpenModel
from llmops.recommend import memory
from llmops.recommend.recommendation import Reason
from llmops.recommend.request import Gpu, Request
from llmops.recommend.ways import ENOUGH, FEW, SOME, Candidate

BUCHER = "Bucher and Martini (2024), Fine-Tuned 'Small' LLMs (Still) Significantly Outperform"
BUCHER += " Zero-Shot Generative AI Models in Text Classification, arXiv 2406.08660"
SETFIT = "Tunstall et al. (2022), Efficient Few-Shot Learning Without Prompts, arXiv 2209.11055"
NLI = "Laurer et al. (2023), Building Efficient Universal Classifiers with NLI, arXiv 2312.17543"
LORA_LAND = "Zhao et al. (2024), LoRA Land: 310 Fine-tuned LLMs that Rival GPT-4, arXiv 2405.00732"
NEWS = "Zhang et al. (2023), Benchmarking Large Language Models for News Summarization,"
NEWS += " arXiv 2301.13848"
LOW_RESOURCE = "Robinson et al. (2023), ChatGPT MT: Competitive for High- (but not Low-) Resource"
LOW_RESOURCE += " Languages, arXiv 2309.07423"
SCALE = "Meta (2024), Llama 3.1 model card, MMLU-Pro of 8, 70 and 405 billion parameters: 48.3,"
SCALE += " 66.4 and 73.3"
DECODE = "Pope et al. (2022), Efficiently Scaling Transformer Inference, arXiv 2211.05102"
MTEB = "Muennighoff et al. (2022), MTEB: Massive Text Embedding Benchmark, arXiv 2210.07316"
FOUR_BIT = "Dettmers and Zettlemoyer (2023), The case for 4-bit precision, arXiv 2212.09720"

SMALL = 5 * 10**9
"""Parameters that a token may pass for a model to count as quick."""

USUAL = Gpu("a GPU of 80 GB", 80 * 2**30)
"""What is taken to be there when nothing is said of money or machines."""

HIGH_RESOURCE = frozenset("ar cs da de el en es fi fr he hi hu id it ja ko nl no pl pt ro ru sv th"
                          " tr uk vi zh".split())  # fmt: skip
"""Languages of which there is much text: those that makers of general models name. `LOW_RESOURCE`
found a general model to come near a translator in some of these or to pass it, and to be behind in
84.1 % of its 204 languages, nearly always where there is little text."""

LEVELS = ((10**9, 0), (5 * 10**9, 1), (15 * 10**9, 2), (45 * 10**9, 3), (150 * 10**9, 4))
"""Sizes up to which a general model earns so many points; above the last, 5."""


_STATED = {
    "licence": "its licence",
    "gated": "whether the hub asks to accept terms first",
    "context": "its longest text",
    "languages": "its languages",
    "active": "the parameters that a token passes",
    "checkpoint": "the size of its files",
}
"""In words, what an entry of the catalogue can leave unconfirmed."""

Rule = Callable[[Request, Candidate], Reason | None]


def weigh(request: Request, candidate: Candidate) -> tuple[Reason, ...]:
    """The reasons for and against a candidate, the weightiest first."""
    rules: Iterable[Rule] = (*_OF_TASK.get(request.task, ()), *_ALWAYS)
    found = [reason for rule in rules if (reason := rule(request, candidate)) is not None]
    return tuple(sorted(found, key=lambda reason: -abs(reason.points)))


def _tuned_encoder(request: Request, candidate: Candidate) -> Reason | None:
    if candidate.way != "fine-tuned" or candidate.model.kind != "encoder-only":
        return None
    if request.labelled >= ENOUGH:
        text = (
            "with enough labels small fine-tuned encoders were ahead of far larger prompted models"
            " on every task that was tried"
        )
        return Reason(text, BUCHER, 6)
    text = f"{request.labelled} labels are where fine-tuning begins to pay; {ENOUGH} are safer"
    return Reason(text, BUCHER, 4)


def _tuned_decoder(request: Request, candidate: Candidate) -> Reason | None:
    if candidate.way != "fine-tuned" or candidate.model.kind != "decoder-only":
        return None
    text = (
        "a model of a few billion parameters, fine-tuned with adapters on a narrow task, was ahead"
        " of far larger general ones on average"
    )
    return Reason(
        text, LORA_LAND, (3 if request.labelled >= ENOUGH else 1) + _level(candidate.model)
    )


def _on_embeddings(request: Request, candidate: Candidate) -> Reason | None:
    if candidate.way != "a classifier on its embeddings":
        return None
    text = (
        "with 8 labels for each class, a classifier on sentence embeddings that were tuned on them"
        " came near to fine-tuning on 3,000 (reviews of customers)"
    )
    return Reason(text, SETFIT, 6 if request.labelled < SOME else 2)


def _no_labels(request: Request, candidate: Candidate) -> Reason | None:
    if not candidate.generic:
        return None
    if request.labelled >= SOME:
        text = "it needs no labels; but you have some, and fine-tuned small models beat prompts"
        return Reason(text, BUCHER, 1)
    return Reason("it needs no labels: the classes are told in the prompt", "", 3)


def _entailment(request: Request, candidate: Candidate) -> Reason | None:
    model = candidate.model
    if candidate.way != "as it is" or model.kind != "encoder-only":
        return None
    text = "it was trained on entailment to tell classes by their names, so it needs no labels"
    return Reason(text, NLI, 3 if request.labelled < FEW else 1)


def _spans(_request: Request, candidate: Candidate) -> Reason | None:
    if candidate.way != "fine-tuned" or candidate.model.kind != "encoder-only":
        return None
    return Reason("it marks what stands in the text, and can fill no field that does not", "", -1)


def _fields(request: Request, candidate: Candidate) -> Reason | None:
    if not candidate.generic:
        return None
    text = "it needs no labels, and vLLM holds its answer to a JSON schema"
    return Reason(text, "", 3 if request.labelled < SOME else 2)


def _summaries(_request: Request, candidate: Candidate) -> Reason | None:
    if candidate.generic:
        text = (
            "people judged summaries of instruction-tuned models to be on par with those of writers"
        )
        return Reason(text, NEWS, 3)
    if candidate.way == "as it is" and candidate.model.kind == "encoder-decoder":
        return Reason("small, and made to summarise; its summaries follow its training data", "", 1)
    return None


def _translators(request: Request, candidate: Candidate) -> Reason | None:
    rare = [code for code in request.wanted if code not in HIGH_RESOURCE]
    if candidate.model.kind == "encoder-decoder":
        if rare:
            text = (
                f"for languages with little text ({', '.join(rare)}) models trained to translate"
                " are ahead of general ones"
            )
            return Reason(text, LOW_RESOURCE, 7 + min(1, _level(candidate.model)))
        return Reason("made to translate, sentence by sentence", "", 3)
    if rare:
        text = f"general models are weak in languages with little text ({', '.join(rare)})"
        return Reason(text, LOW_RESOURCE, 0)
    text = "for languages with much text general models come near dedicated ones or pass them"
    return Reason(text, LOW_RESOURCE, 3)


def _embeds(_request: Request, candidate: Candidate) -> Reason | None:
    scores = [score for score in candidate.model.quality if "MTEB" in score.benchmark]
    if not scores:
        text = "no model is best on all kinds of retrieval: compare two or three on your own texts"
        return Reason(text, MTEB, 0)
    score = scores[0]
    return Reason(f"{score.benchmark} {score.value:g}, as published", MTEB, 2)


def _embeds_cheaply(request: Request, candidate: Candidate) -> Reason | None:
    if candidate.model.passed > 10**9:
        return None
    text = "every text is embedded, and every question again: a small model makes that cheap"
    return Reason(text, "", 3 if request.volume == "high" or request.latency == "low" else 2)


def _documents(_request: Request, candidate: Candidate) -> Reason | None:
    context = candidate.model.context or 0
    if context < 8192:
        return None
    return Reason(f"it takes documents of {context:,} tokens, not paragraphs only", "", 1)


def _many_languages(request: Request, candidate: Candidate) -> Reason | None:
    count = candidate.model.languages.count or len(candidate.model.languages.listed)
    if len(request.wanted) < 2 and request.wanted == ("en",):
        return None
    return Reason(f"its makers state {count} languages", "", 1 if count >= 90 else 0)


def _size(_request: Request, candidate: Candidate) -> Reason | None:
    """Larger is better for what is only told what to do, within a generation of models."""
    if not candidate.generic:
        return None
    billions = candidate.model.parameters / 10**9
    text = f"of what fits, larger models answer better ({billions:.3g} billion parameters)"
    return Reason(text, SCALE, _level(candidate.model))


def _level(model: OpenModel) -> int:
    """Points for size; parameters in experts, of which a token passes few, count for less."""
    level = next((points for most, points in LEVELS if model.parameters <= most), 5)
    return level - 1 if level and model.active else level


def _unasked(request: Request, candidate: Candidate) -> Reason | None:
    if not request.unlimited:
        return None
    if memory.fits(candidate.model.weight_bytes, USUAL):
        return None
    text = "it takes more than one GPU of 80 GB, and nothing was said of money or machines"
    return Reason(text, "", -4)


def _squeezed(request: Request, candidate: Candidate) -> Reason | None:
    gpu = request.gpu
    if gpu is None or memory.fits(candidate.model.weight_bytes, gpu):
        return None
    text = f"it fits {gpu.count} x {gpu.name} only in 4 bits, which costs it a little"
    return Reason(text, FOUR_BIT, -1)


def _quick(request: Request, candidate: Candidate) -> Reason | None:
    if request.latency != "low" and request.volume != "high":
        return None
    passed = candidate.model.passed
    text = f"each token reads the {passed / 10**9:.2g} billion parameters that it passes"
    if passed <= SMALL:
        return Reason(f"quick and cheap by the token: {text}", DECODE, 2)
    return Reason(f"slow and dear by the token: {text}", DECODE, -2 if passed > 2 * 10**10 else -1)


def _engine(_request: Request, candidate: Candidate) -> Reason | None:
    how = candidate.model.vllm
    if how == "none":
        return Reason("vLLM 0.32 does not serve it, so llmops cannot deploy it today", "", -3)
    if how == "plugin":
        return Reason("vLLM 0.32 serves it with a plugin only, which llmops does not bring", "", -3)
    return None


def _terms(_request: Request, candidate: Candidate) -> Reason | None:
    licence = candidate.model.licence
    if licence.use == "permissive":
        return Reason(f"{licence.name}: no conditions on use", "", 1)
    gate = ", and its terms are accepted on the hub first" if candidate.model.gated else ""
    return Reason(f"{licence.name}: read its conditions{gate}", "", 0)


def _unconfirmed(_request: Request, candidate: Candidate) -> Reason | None:
    said = ", ".join(_STATED[stated] for stated in candidate.model.unconfirmed)
    return Reason(f"not confirmed from a source that could be read: {said}") if said else None


def _note(_request: Request, candidate: Candidate) -> Reason | None:
    return Reason(candidate.model.note) if candidate.model.note else None


_ALWAYS: tuple[Rule, ...] = (
    _unasked, _squeezed, _quick, _engine, _terms, _unconfirmed, _note,
)  # fmt: skip
_OF_TASK: dict[str, tuple[Rule, ...]] = {
    "generation": (_size, _tuned_decoder),
    "chat": (_size,),
    "summarisation": (_summaries, _size, _tuned_decoder),
    "translation": (_translators, _size, _many_languages),
    "classification": (
        _tuned_encoder, _tuned_decoder, _on_embeddings, _no_labels, _entailment, _size,
    ),
    "extraction": (_tuned_encoder, _spans, _tuned_decoder, _fields, _size),
    "embedding": (_embeds, _embeds_cheaply, _documents, _many_languages),
}  # fmt: skip
