"""Questions to the agent: what only its machine can tell. They change nothing there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from llmops.errors import UnreachableError
from llmops.events import Flow, Progress
from serving.agent import bell, names
from serving.agent.blobs import Blobs
from serving.agent.documents import Kind
from serving.agent.pace import PACE, Pace
from serving.agent.presence import Watch
from serving.agent.wire import error_of
from serving.agent.words import Answer, Question

QUESTION = Kind(Question, "a question")
ANSWER = Kind(Answer, "an answer")


class Asker:
    """Asks, and waits for the answer for as long as the agent lives."""

    def __init__(
        self,
        blobs: Blobs,
        watch: Watch,
        by: str,
        *,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace = PACE,
    ) -> None:
        self._blobs, self._watch, self._by = blobs, watch, by
        self._clock, self._elapsed, self._sleep, self._pace = clock, elapsed, sleep, pace

    def ask(self, kind: str, about: dict[str, Any], what: str) -> Flow[Any]:
        """Ask the agent; what it found, as plain data.

        Args:
            kind: Which question; see `machine.answering`.
            about: What it is about.
            what: What is told as the reason of the wait.

        Raises:
            UnreachableError: When no agent is there, within seconds.
            LlmopsError: What the agent found instead of an answer.
        """
        yield from self._watch.found()
        identifier = secrets.token_hex(16)
        question = Question(kind, self._by, self._clock(), about)
        QUESTION.create(self._blobs, names.question(identifier), question)
        try:
            bell.ring(self._blobs)
            answer = yield from self._answer(identifier, what)
        finally:
            self._blobs.remove(names.question(identifier))
            self._blobs.remove(names.answer(identifier))
        if answer.fault is not None:
            raise error_of(answer.fault)
        return answer.found

    def _answer(self, identifier: str, what: str) -> Flow[Answer]:
        began = self._elapsed()
        pause = self._pace.look / 4
        while True:
            answer, _ = ANSWER.read(self._blobs, names.answer(identifier))
            if answer is not None:
                return answer
            waited = self._elapsed() - began
            yield Progress("agent", what, waited)
            presence = self._watch.look()
            if presence.lease is None or not presence.alive:
                gone = self._watch.gone(presence)
                raise UnreachableError(gone.message, hint=gone.hint)
            self._sleep(pause)
            pause = min(self._pace.look, pause * 1.5)


def oldest(seconds: float, now: float, question: Question) -> bool:
    """Whether nobody can be waiting for an answer any more."""
    return question.at < now - seconds


__all__ = ["ANSWER", "QUESTION", "Asker", "oldest"]
