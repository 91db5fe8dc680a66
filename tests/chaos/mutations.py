"""The door's defences on the wire, each with what switches it off in a process that is a test's.

Those that decide on a request once it is read have switches of their own for tests: see
`serving.gateway.defences`. Nothing here is reached by a gateway that serves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.gateway import connection, schemas
from serving.gateway.connection import Impatient
from serving.gateway.exchange import Exchange


@dataclass(frozen=True)
class Mutation:
    """One defence."""

    name: str
    holds: str
    """What it holds back, for the page."""
    where: str
    off: Callable[[], None]
    case: str
    """The recorded input that fails without it; empty: a client that reads nothing."""


def _put(owner: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(owner, name, value)


def _patient_with_bodies() -> None:
    read = Exchange.read
    _put(Exchange, "read", lambda self, limit, _: read(self, limit, 3600.0))()


def _keeps_texts() -> None:
    repeat = schemas._Walk._repeat

    def repeated(self: Any, which: tuple[str, int], *more: Any) -> None:
        repeat(self, (f"{which[0]}#{which[1]}", which[1]), *more)

    _put(schemas._Walk, "_repeat", repeated)()


BACKTRACKING = re.compile(r"(\)?)\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}")
MUTATIONS = {
    mutation.name: mutation
    for mutation in [
        Mutation(
            "error_shape", "what is no HTTP is answered in OpenAI's shape, with a request id",
            "connection.py", _put(Impatient, "send_400_response", H11Protocol.send_400_response),
            "nonsense with an end",
        ),
        Mutation(
            "one_answer", "what turns out to be no HTTP once it was answered gets no second answer",
            "connection.py", _put(Impatient, "send_400_response", H11Protocol.send_400_response),
            "a spoilt chunk after a refusal",
        ),
        Mutation(
            "quiet_log", "whoever has no key writes nothing to the server's log",
            "connection.py", lambda: connection.log.setLevel(logging.INFO), "nonsense with an end",
        ),
        Mutation(
            "head_deadline", "a head that never ends holds no line",
            "connection.py", _put(Impatient, "_wait", lambda self: None), "a head that never ends",
        ),
        Mutation(
            "body_deadline", "a body that never ends holds no request",
            "exchange.py", _patient_with_bodies, "a body that never ends",
        ),
        Mutation(
            "stall_deadline", "a client that reads nothing of its answer holds no replica",
            "connection.py", _put(Impatient, "pause_writing", H11Protocol.pause_writing), "",
        ),
        Mutation(
            "one_length", "a length that can be read in two ways hides no second request",
            "exchange.py", _put(Exchange, "ambiguous", property(lambda self: False)),
            "a length and chunks",
        ),
        Mutation(
            "one_way", "a pattern or grammar is gone through in a time that grows with its length",
            "schemas.py", _put(schemas, "BRACES", BACKTRACKING), "blanks in a pattern",
        ),
        Mutation(
            "no_copies", "counting the repetitions of a grammar takes no memory to speak of",
            "schemas.py", _keeps_texts, "repetitions of no times",
        ),
    ]
}  # fmt: skip
