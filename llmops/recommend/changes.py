"""What would change the answer: the same question asked otherwise, where the answer differs.

Nothing is claimed that was not tried: each sentence comes from ranking anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from llmops.recommend.recommendation import Change, Option, PassedOver
from llmops.recommend.request import Request
from llmops.recommend.ways import ENOUGH, FEW, SOME

Ranker = Callable[[Request], Sequence[Option]]

_LABELS = ("classification", "extraction", "generation", "summarisation")
"""Tasks for which labelled examples matter."""


def changes(
    request: Request,
    options: Sequence[Option],
    passed_over: Sequence[PassedOver],
    ask: Ranker,
) -> tuple[Change, ...]:
    """The changes of the request that put another option first, each told once."""
    seen = {_first(options)}
    found: list[Change] = []
    for when, asked in _variations(request):
        then = ask(asked)
        if then and _first(then) != _first(options):
            found.append(Change(when, _words(then[0])))
    for price in sorted({one.price for one in passed_over if one.price is not None}):
        then = ask(replace(request, budget=price))
        if _first(then) not in seen:  # a larger budget may change nothing
            seen.add(_first(then))
            found.append(Change(f"with a budget of ${price:.2f} an hour", _words(then[0])))
    return tuple(found)


def _variations(request: Request) -> Iterator[tuple[str, Request]]:
    yield from _labels(request)
    yield from _limits(request)
    yield from _texts(request)
    if request.volume == "normal":
        yield "with so many requests that the cost of each counts", replace(request, volume="high")
    if request.latency == "normal":
        yield "if answers must begin at once", replace(request, latency="low")


def _limits(request: Request) -> Iterator[tuple[str, Request]]:
    if request.unlimited:
        yield "with several GPUs, or the money for them", replace(request, budget=10.0**8)
    if request.gpu is not None:
        yield "without the limit of that GPU", replace(request, gpu=None)
    if request.licence == "permissive":
        yield "if a licence with conditions will do", replace(request, licence="commercial")
    if request.licence == "commercial":
        yield "if no licence with conditions will do", replace(request, licence="permissive")
        yield "if it is not for business", replace(request, licence="any")


def _texts(request: Request) -> Iterator[tuple[str, Request]]:
    if request.context is not None:
        yield "with shorter texts", replace(request, context=None)
    if request.context is None or request.context <= 8192:
        yield "for texts of 32,000 tokens", replace(request, context=32_000)
    if set(request.wanted) != {"en"}:
        return
    if request.task != "translation":
        several = ("en", "de", "fr", "es")
        yield "for texts in several languages of Europe", replace(request, languages=several)
    rare = ("en", "sw")
    yield "for a language with little text, such as Swahili", replace(request, languages=rare)


def _labels(request: Request) -> Iterator[tuple[str, Request]]:
    if request.task not in _LABELS:
        return
    if request.labelled >= SOME:
        yield f"with fewer than {SOME} labelled examples", replace(request, examples=SOME - 1)
    if request.labelled >= FEW:
        yield "without labelled examples", replace(request, examples=0)
    if request.labelled < FEW and request.task == "classification":
        yield f"with {FEW} labelled examples or more", replace(request, examples=FEW)
    if request.labelled < ENOUGH:
        yield f"with {ENOUGH} labelled examples or more", replace(request, examples=ENOUGH)


def _first(options: Sequence[Option]) -> tuple[str, str] | None:
    return (options[0].name, options[0].way) if options else None


def _words(option: Option) -> str:
    way = "" if option.way == "as it is" else f", {option.way}"
    why = next((reason.text for reason in option.reasons if reason.points > 0), "")
    return f"{option.name}{way}" + (f": {why}" if why else "")
