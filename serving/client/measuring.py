"""Measure what one replica does: decoding with more and more requests at once, and reading prompts.

It asks as `bench` does, and refuses to guess: where a request fails, nothing was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmops.errors import TargetError
from llmops.policies.simulation import Pace, Reading
from serving.client.endpoint import Endpoint
from serving.client.figures import Figures
from serving.client.load import bench

ROUNDS, LEAST = 3, 8
"""Requests of each client while decoding is measured; and of all of them at least."""
READS = 5
"""Prompts of each length."""
SHORT = 16
"""Tokens of a short prompt."""
LONGEST = 2048
"""Tokens of the long prompt, at most."""
ANSWER = 64
"""Tokens of each answer while decoding is measured, at most."""
MOST = 16
"""Requests at once in one replica, at most: beyond it the line is prolonged."""

Progress = Callable[[str, float], None]
"""Told what is being measured, and the share of it all that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What is known of a service before it is measured."""

    replicas: int
    """How many answer: requests spread over them."""
    most: int
    """Requests at once that one replica may be given."""
    context: int
    """Tokens of the longest request."""
    answer: int
    """Tokens of the longest answer."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it."""

    paces: tuple[Pace, ...]
    readings: tuple[Reading, ...]


def measure(endpoint: Endpoint, replica: Replica, progress: Progress) -> Measured:
    """Measure a replica's decoding and reading; takes some seconds on an idle service.

    Args:
        endpoint: The service, on which nothing else is asked meanwhile.
        replica: What is known of it.
        progress: Told how it goes.

    Raises:
        TargetError: When a request fails.
    """
    answer = max(2, min(ANSWER, replica.answer, replica.context // 4))
    sizes, lengths = tuple(batches(replica.most)), prompts(replica.context)
    steps, paces, readings = len(sizes) + len(lengths), [], []
    for place, tokens in enumerate(lengths):
        progress(f"reading prompts of {tokens} tokens", place / steps)
        found = _ask(endpoint, 1, READS, tokens, 1)
        readings.append(Reading(found.prompt_tokens / found.ok, found.ttft.p50))
    # The most at once comes last: it may have scaling start a replica, which takes some time.
    for place, batch in enumerate(sizes, len(lengths)):
        progress(f"decoding, {batch} at once", place / steps)
        clients = batch * replica.replicas
        found = _ask(endpoint, clients, max(LEAST, ROUNDS * clients), SHORT, answer)
        paces.append(Pace(batch, found.tpot.p50))
    return Measured(tuple(paces), tuple(readings))


def batches(most: int) -> Iterator[int]:
    """Numbers of requests at once that are measured: 1, 2, 4 and so on, and the most."""
    most = max(1, min(most, MOST))
    size = 1
    while size < most:
        yield size
        size *= 2
    yield most


def prompts(context: int) -> tuple[int, int]:
    """Lengths of the prompts. The long one leaves room, since words are sent and not tokens."""
    return min(SHORT, context // 8), min(LONGEST, context * 2 // 3)


def _ask(endpoint: Endpoint, clients: int, requests: int, prompt: int, answer: int) -> Figures:
    found = bench(
        endpoint, clients=clients, requests=requests, prompt_tokens=max(1, prompt),
        max_tokens=answer, progress=lambda _done, _of: None,
    )  # fmt: skip
    for reason, count in found.failures.items():
        raise TargetError(
            f"{count} of {requests} requests failed: {reason}: nothing was measured",
            hint=f"see `llmops status {endpoint.model}`",
        )
    return found
