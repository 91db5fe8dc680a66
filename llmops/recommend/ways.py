"""The ways in which a model could do a task, and how many labelled examples each wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops.catalog import OpenModel
from llmops.recommend.recommendation import Way
from llmops.recommend.request import Request

SOME, ENOUGH = 200, 500
"""Labels between which fine-tuned classifiers came to do well (Bucher and Martini, 2024: about 200
to 500)."""

FEW = 16
"""Labels from which a classifier on embeddings is worth training: 8 for each of two classes
(Tunstall et al., 2022, who tuned the embeddings on them too)."""

TUNABLE = (10**9, 10**10)
"""Parameters between which a decoder is fine-tuned with adapters: about those of the models that
gained by it in "LoRA Land" (Zhao et al., 2024: 2 to 8 billion)."""

_NARROW = frozenset({"classification", "extraction", "generation", "summarisation"})
"""Tasks that can be one narrow task, which is what fine-tuning is for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and a way to use it, not yet judged."""

    name: str
    model: OpenModel
    way: Way

    @property
    def generic(self) -> bool:
        """Whether it is a general model that is told what to do."""
        return self.way == "as it is" and "chat" in self.model.tasks


def ways(request: Request, name: str, model: OpenModel) -> Iterator[Candidate]:
    """The ways in which a model could do the task, whether there are labels enough or not."""
    if request.task in model.tasks:
        if request.task not in model.tuned:
            yield Candidate(name, model, "as it is")
        if _tunable(request, model):
            yield Candidate(name, model, "fine-tuned")
    if request.task == "classification" and "embedding" in model.tasks:
        yield Candidate(name, model, "a classifier on its embeddings")


def _tunable(request: Request, model: OpenModel) -> bool:
    if model.kind == "decoder-only":
        least, most = TUNABLE
        return request.task in _NARROW and least <= model.parameters <= most
    return request.task in model.tuned


def short_of_labels(request: Request, candidate: Candidate) -> str | None:
    """Why there are too few labels for a way; None when there are enough."""
    needed = _LEAST[candidate.way]
    if request.labelled >= needed:
        return None
    have = request.labelled or "none"
    return f"{candidate.way}, it wants {needed} labelled examples or more, and you have {have}"


_LEAST: dict[Way, int] = {
    "as it is": 0,
    "fine-tuned": SOME,
    "a classifier on its embeddings": FEW,
}
