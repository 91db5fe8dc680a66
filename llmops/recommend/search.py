"""The choice: every model and way weighed by the rules; what cannot be used is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmops.catalog import OpenModel
from llmops.planning import Figure
from llmops.recommend import memory
from llmops.recommend.changes import changes
from llmops.recommend.prices import Cost
from llmops.recommend.recommendation import Option, PassedOver, Recommendation
from llmops.recommend.request import Request
from llmops.recommend.rules import weigh
from llmops.recommend.ways import Candidate, short_of_labels, ways

MOST = 5
"""Options that are shown."""

_SERVED = {
    "in-tree": "vLLM 0.32 serves {0}",
    "transformers": "vLLM 0.32 serves {0} through transformers' own code, which is slower",
    "plugin": "vLLM 0.32 serves {0} only with a plugin that is not part of it",
    "none": "vLLM 0.32 does not serve {0}",
}


def recommend(
    request: Request, *, catalogue: Mapping[str, OpenModel], cost: Cost | None = None
) -> Recommendation:
    """Rank the models of a catalogue for a request.

    Args:
        catalogue: Open models by name.
        cost: Dollars an hour of serving a model, None where nobody knows; the planner's, or
            `prices.cheapest`. Without it a budget cannot be kept, and prices are absent.
    """
    options, passed_over = rank(request, catalogue, cost)
    return Recommendation(
        task=request.task,
        assumed=tuple(_assumed(request, cost)),
        options=options[:MOST],
        passed_over=passed_over,
        changes=changes(request, options, passed_over, lambda r: rank(r, catalogue, cost)[0]),
    )


def rank(
    request: Request, catalogue: Mapping[str, OpenModel], cost: Cost | None
) -> tuple[tuple[Option, ...], tuple[PassedOver, ...]]:
    """All options, the best first, one for each model; and what was passed over, by name."""
    options: list[Option] = []
    passed_over: list[PassedOver] = []
    for name, model in catalogue.items():
        candidates = list(ways(request, name, model))
        if not candidates:
            continue
        price = cost(model) if cost else None
        barred = _barred(request, name, model, price)
        able = [one for one in candidates if short_of_labels(request, one) is None]
        if barred:
            passed_over.append(barred)
        elif able:
            found = [_option(request, one, price, cost is not None) for one in able]
            options.append(min(found, key=_order))
        else:
            why = short_of_labels(request, candidates[0]) or ""
            passed_over.append(PassedOver(name, why))
    return tuple(sorted(options, key=_order)), tuple(passed_over)


def _order(option: Option) -> tuple[int, int, str]:
    """More points first; of equals the one that is cheaper by the token."""
    return -option.points, option.model.passed, option.name


def _option(request: Request, candidate: Candidate, price: float | None, asked: bool) -> Option:
    model = candidate.model
    tuned = candidate.way == "fine-tuned"
    architecture = (
        model.tuned.get(request.task, model.architecture) if tuned else model.architecture
    )
    known = "the cheapest machine of the catalogue that holds the weights, on demand"
    return Option(
        name=candidate.name,
        model=model,
        way=candidate.way,
        architecture=architecture,
        memory=memory.served(model),
        four_bits=memory.four_bits(model),
        price=Figure(price, known) if asked and price is not None else None,
        served=_SERVED[model.vllm].format(architecture),
        reasons=weigh(request, candidate),
    )


def _barred(
    request: Request, name: str, model: OpenModel, price: float | None
) -> PassedOver | None:
    """Why a model cannot be used whatever the rules say; None when it can."""
    why = next(_bars(request, model), None)
    if why:
        return PassedOver(name, why)
    if request.budget is not None and price is not None and price > request.budget:
        text = f"it costs ${price:.2f} an hour, and the budget is ${request.budget:.2f}"
        return PassedOver(name, text, price)
    return None


def _bars(request: Request, model: OpenModel) -> Iterator[str]:
    licence = model.licence
    if request.licence == "permissive" and licence.use != "permissive":
        yield f"its licence ({licence.name}) has conditions"
    if request.licence == "commercial" and licence.use == "non-commercial":
        yield f"its licence ({licence.name}) forbids commercial use"
    if request.context and model.context and model.context < request.context:
        yield f"it takes {model.context:,} tokens, and {request.context:,} are wanted"
    missing = [code for code in request.wanted if code not in model.languages.listed]
    if missing and not (model.languages.count and model.languages.count > 50):
        yield f"its makers do not say that it knows {', '.join(missing)}"
    gpu = request.gpu
    if gpu is not None:
        smaller = memory.four_bits(model)
        sizes = [model.weight_bytes, *([int(smaller.value)] if smaller else [])]
        if not any(memory.fits(size, gpu) for size in sizes):
            yield f"its weights do not fit {gpu.count} x {gpu.name}, not even in 4 bits"


def _assumed(request: Request, cost: Cost | None) -> Iterator[str]:
    if not request.languages and request.task == "translation":
        yield "the languages are ones with much text"
    elif not request.languages:
        yield "texts are in English"
    if request.examples is None and request.task in ("classification", "extraction"):
        yield "there are no labelled examples"
    if request.unlimited:
        yield "one GPU of 80 GB can be had, since nothing was said of money or machines"
    if request.budget is not None and cost is None:
        yield "prices are not known, so the budget is not kept"
    share = f"{memory.SHARE:.0%}".replace("%", " %")
    yield f"weights may take {share} of a GPU's memory; llmops plan --model works the rest out"
