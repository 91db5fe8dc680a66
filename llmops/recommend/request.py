"""What is asked: a task, what may be spent, and what is known of the texts and the users.

Values only. What cannot be meant is refused here, before any model is looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from llmops.catalog import Task
from llmops.errors import InputError

Terms = Literal["any", "commercial", "permissive"]
"""Which licences will do: all; those that let a company do business, be it under conditions; those
without conditions."""

Hint = Literal["low", "normal", "high"]

GIB = 2**30
MOST_EXAMPLES = 10**12


@dataclass(frozen=True, slots=True)
class Gpu:
    """Accelerators of one kind that there are."""

    name: str
    memory: int
    """Bytes of one that can be planned with."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is wanted for.

    Raises:
        InputError: When a figure is absurd; the message names it.
    """

    task: Task
    budget: float | None = None
    """US dollars an hour at most; None when nobody said."""
    gpu: Gpu | None = None
    """What there is to run on; None when nobody said."""
    licence: Terms = "commercial"
    context: int | None = None
    """Tokens of the longest text with its answer; None when nobody said."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes; empty when nobody said, which is taken as English."""
    examples: int | None = None
    """Labelled examples that the user has; None when nobody said, which is taken as none."""
    latency: Hint = "normal"
    """`low`: answers must begin and flow quickly."""
    volume: Hint = "normal"
    """`high`: so many requests that the cost of each counts."""

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem:
            raise InputError(problem[0], hint=problem[1])

    @property
    def labelled(self) -> int:
        """Labelled examples; 0 when nobody said."""
        return self.examples or 0

    @property
    def wanted(self) -> tuple[str, ...]:
        """Languages; English when nobody said."""
        return self.languages or ("en",)

    @property
    def unlimited(self) -> bool:
        """Whether nothing was said of money or machines."""
        return self.budget is None and self.gpu is None


def _problems(request: Request) -> Iterator[tuple[str, str]]:
    words = {"task": Task, "licence": Terms}
    for name, known in words.items():
        if (found := getattr(request, name)) not in get_args(known):
            choices = ", ".join(get_args(known))
            yield f"{name}: expected one of {choices}, found '{found}'", "choose one of them"
    yield from _figures(request)
    for code in request.languages:
        if not re.fullmatch(r"[a-z]{2,3}", code):
            yield (
                f"languages: expected a code such as 'en', found '{code[:20]}'",
                "ISO 639 has them",
            )
    if request.latency not in ("low", "normal"):
        yield f"latency: expected low or normal, found '{request.latency}'", "leave it out"
    if request.volume not in ("high", "normal"):
        yield f"volume: expected high or normal, found '{request.volume}'", "leave it out"


def _figures(request: Request) -> Iterator[tuple[str, str]]:
    budget = request.budget
    if budget is not None and not (math.isfinite(budget) and 0 < budget < 10**9):
        yield (
            f"budget: expected dollars an hour above 0 and below 1,000,000,000, found {budget:g}",
            "2.5 is two and a half",
        )
    if request.context is not None and not 1 <= request.context <= 10**8:
        yield f"context: expected a number of tokens, found {request.context}", "8192 is usual"
    if request.examples is not None and not 0 <= request.examples <= MOST_EXAMPLES:
        yield f"examples: expected a number from 0, found {request.examples}", "count the labels"
    gpu = request.gpu
    if gpu is not None and (gpu.memory < 1 or not 1 <= gpu.count <= 1024):
        found = f"{gpu.count:,} of {gpu.memory:,} bytes"
        yield (
            f"gpu: expected 1 to 1024 {gpu.name} with memory, found {found}",
            "say how many there are, from 1 on",
        )
