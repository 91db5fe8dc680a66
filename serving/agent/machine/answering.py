"""Answers to what commands ask: looked up on this machine, and changing nothing on it."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from llmops.errors import InputError, LlmopsError
from llmops.releases import Figures, Seen
from llmops.spec import Deployment
from llmops.targets import ServiceStatus
from serving.agent import names
from serving.agent.asking import ANSWER, QUESTION
from serving.agent.blobs import Blobs, StoreUnreachable
from serving.agent.facts import facts_document
from serving.agent.wire import fault_of
from serving.agent.words import Answer, Question
from serving.local import LocalTarget

log = logging.getLogger("llmops.agent")

OLD = 600.0
"""Seconds after which nobody waits for an answer any more."""

MOST_LINES = 1000
"""Lines of a log in one answer."""

STATUS: TypeAdapter[ServiceStatus] = TypeAdapter(ServiceStatus)
SEEN: TypeAdapter[tuple[Seen, ...]] = TypeAdapter(tuple[Seen, ...])
FIGURES: TypeAdapter[dict[int, Figures]] = TypeAdapter(dict[int, Figures])


class Answering:
    """Answers the questions of a store.

    Args:
        blobs: The store.
        target: This machine.
        clock: Unix seconds.
    """

    def __init__(
        self, blobs: Blobs, target: LocalTarget, clock: Callable[[], float] = time.time
    ) -> None:
        self._blobs, self._target, self._clock = blobs, target, clock
        self._kinds: Mapping[str, Callable[[dict[str, Any]], Any]] = {
            "facts": self._facts,
            "status": self._status,
            "observe": self._observe,
            "watched": self._watched,
            "logs": self._logs,
            "audit": self._audit,
        }

    def open(self) -> tuple[str, ...]:
        """Questions that have no answer; what nobody waits for any more is removed."""
        answered = set(self._ids("answers/"))
        return tuple(one for one in self._ids("questions/") if one not in answered)

    def _ids(self, prefix: str) -> list[str]:
        return [n.removeprefix(prefix).removesuffix(".json") for n in self._blobs.names(prefix)]

    def answer(self, identifier: str) -> None:
        """Answer a question, or remove it where that is too late."""
        try:
            question, _ = QUESTION.read(self._blobs, names.question(identifier))
            if question is None:
                return
            if question.at < self._clock() - OLD:
                self._blobs.remove(names.question(identifier))
                return
            answer = Answer(self._looked_up(question))
        except StoreUnreachable:
            raise
        except LlmopsError as error:
            answer = Answer(fault=fault_of(error))
        ANSWER.create(self._blobs, names.answer(identifier), answer)
        if self._blobs.get(names.question(identifier)) is None:  # whoever asked has gone
            self._blobs.remove(names.answer(identifier))

    def _looked_up(self, question: Question) -> Any:
        look = self._kinds.get(question.kind)
        if look is None:
            raise InputError(f"this agent does not know what '{question.kind}' asks")
        try:
            return look(question.about)
        except LlmopsError:
            raise
        except Exception as error:
            # Whatever it was, who asked must be told; the log has all of it.
            log.exception("question %s", question.kind)
            raise LlmopsError(
                f"unexpected {type(error).__name__} on the agent's machine",
                hint="journalctl -u llmops-agent there has it all",
            ) from error

    def _facts(self, about: dict[str, Any]) -> Any:
        deployment = Deployment.model_validate(about["spec"])
        flow = self._target.resolve(deployment, offline=bool(about["offline"]))
        while True:
            try:
                next(flow)
            except StopIteration as end:
                facts = facts_document(end.value)
                return {"facts": facts, "versions": dict(self._target.versions())}

    def _status(self, about: dict[str, Any]) -> Any:
        return STATUS.dump_python(status_of(self._target, about["service"]), mode="json")

    def _observe(self, about: dict[str, Any]) -> Any:
        return SEEN.dump_python(self._target.observe(about["service"]), mode="json")

    def _watched(self, about: dict[str, Any]) -> Any:
        return FIGURES.dump_python(self._target.watched(about["service"]), mode="json")

    def _logs(self, about: dict[str, Any]) -> Any:
        lines = self._target.logs(about["service"], about["number"], follow=False)
        return _piece(lines, about["after"])

    def _audit(self, about: dict[str, Any]) -> Any:
        return _piece(self._target.audit_lines(about["service"], follow=False), about["after"])


def _piece(lines: Iterator[str], after: int) -> dict[str, Any]:
    """Some lines behind the first `after`, and whether there are more now."""
    found = list(itertools.islice(lines, after, after + MOST_LINES))
    return {"lines": found, "more": len(found) == MOST_LINES}


def status_of(target: LocalTarget, service: str) -> ServiceStatus:
    """A service's status, as one of a machine behind a store."""
    return replace(target.status(service), target="agent")


__all__ = ["Answering", "status_of"]
