"""A model of one replica: continuous batching, as far as its latency and throughput depend on it.

The engine works in steps. Each gives every request of the batch one token, and takes longer the
larger the batch is; while prompts wait, a step also reads a chunk of them. Between two events the
pace is constant, so all that a request needs is a place on the replica's own clock of tokens, and
each event costs the logarithm of the batch.

Left out: preemption when the KV cache is full, prefix caching, speculative decoding, that attention
slows down with the context, the time of the gateway and of the network, and the first steps after a
start, which are slower. Prompts are read one after the other, at the rate of full chunks.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

from llmops.policies.simulation.profile import Profile

CLOSE = 1e-6
"""Tokens below which what is left counts as done: floating point does not end at 0."""


class Job(NamedTuple):
    """A request in a replica: its number in the trace, and its tokens."""

    number: int
    input_tokens: int
    output_tokens: int


class Happened(NamedTuple):
    """What an event of a replica was about."""

    first: tuple[tuple[int, float], ...]
    """Requests that have been read, and when their first token comes."""
    ended: tuple[int, ...]
    """Requests with their last token."""


class Engine:
    """The requests of one replica, and how far they are."""

    def __init__(self, profile: Profile, now: float) -> None:
        self._profile = profile
        self._now = now
        self._tokens = 0.0
        """Tokens that a request that had been in the batch from the beginning would have."""
        self._batch: list[tuple[float, int, Job]] = []
        """When each is done by that clock, as a heap."""
        self._reading: deque[Job] = deque()
        self._left = 0.0
        """Tokens of the first prompt that are still to be read."""
        self._waiting: deque[Job] = deque()
        self._held = 0
        """Tokens of prompts in the cache, less the clock at which each request joined the batch."""
        self._joined = 0.0

    @property
    def in_flight(self) -> int:
        """Requests that were handed to it and have not ended."""
        return len(self._batch) + len(self._reading) + len(self._waiting)

    @property
    def waiting(self) -> int:
        """Of those, the ones that it has not begun."""
        return len(self._waiting)

    def cached(self, now: float) -> float:
        """Tokens in the KV cache."""
        tokens = self._tokens + (now - self._now) * self.pace
        return self._held + len(self._batch) * tokens - self._joined

    @property
    def pace(self) -> float:
        """Steps a second now."""
        step = self._profile.step_of(len(self._batch))
        return 1 / (step + self._profile.mixed_step) if self._reading else 1 / step

    @property
    def tokens_per_second(self) -> float:
        """Tokens that it generates now."""
        return self.pace * len(self._batch)

    def take(self, job: Job, now: float) -> None:
        """Hand it a request."""
        self._advance(now)
        self._waiting.append(job)
        self._admit()

    def next_event(self) -> float:
        """When a prompt will have been read, or an answer ends; infinite when idle."""
        at = inf
        if self._reading:
            at = self._left / (self.pace * self._profile.chunk)
        if self._batch:
            at = min(at, (self._batch[0][0] - self._tokens) / self.pace)
        return self._now + max(0.0, at)

    def happen(self, now: float) -> Happened:
        """Go on to its next event."""
        self._advance(now)
        ended = []
        while self._batch and self._batch[0][0] <= self._tokens + CLOSE:
            due, _, job = heappop(self._batch)
            self._held -= job.input_tokens
            self._joined -= due - job.output_tokens
            ended.append(job.number)
        first = self._read(now)
        self._admit()
        return Happened(first, tuple(ended))

    def _read(self, now: float) -> tuple[tuple[int, float], ...]:
        """The first prompt joins the batch, if it has been read."""
        if not self._reading or self._left > CLOSE:
            return ()
        job = self._reading.popleft()
        heappush(self._batch, (self._tokens + job.output_tokens, job.number, job))
        self._held += job.input_tokens
        self._joined += self._tokens
        self._left = float(self._reading[0].input_tokens) if self._reading else 0.0
        return ((job.number, now + self._profile.step_of(len(self._batch))),)

    def _admit(self) -> None:
        room = self._profile.slots - len(self._batch) - len(self._reading)
        for _ in range(min(room, len(self._waiting))):
            job = self._waiting.popleft()
            if not self._reading:
                self._left = float(job.input_tokens)
            self._reading.append(job)

    def _advance(self, now: float) -> None:
        steps = (now - self._now) * self.pace
        if self._batch:
            self._tokens += steps
        if self._reading:
            self._left = max(0.0, self._left - steps * self._profile.chunk)
        self._now = now
