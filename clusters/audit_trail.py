"""Audit lines of a service, read from its gateways' pods through the API server.

Each pod has files, and so chains, of its own. They are asked for at the port that tells the
gateway's state, with llmops' own key of the service: who may read them needs no right beyond those
for `llmops status`, and to run a program in a pod (`pods/exec`) is never asked for. What a pod has
written ends with it: of pods that have gone nothing is known here, nor told.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from clusters import names
from clusters.ports import Reader
from llmops.errors import LlmopsError, TargetError
from serving.gateway import CALLERS, Anchor, Piece, Report, Verifier

POLL = 1.0
"""Seconds between looks at lines that are followed; each asks every gateway."""

ANSWER_SECONDS = 30.0

KNOWN = CALLERS[0]


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit files of one gateway pod."""

    client: Reader
    namespace: str
    pod: str
    key: str = field(repr=False)
    """Text of llmops' own key of the service."""

    def piece(self, callers: str, after: str) -> Piece:
        """What follows in a chain; see `serving.gateway.audit_piece`.

        Raises:
            TargetError: When the gateway does not hand it out.
        """
        query = urlencode({"callers": callers, "after": after})
        answer = self.client.proxy(
            self.pod, self.namespace, names.OPS_PORT, f"/audit?{query}",
            headers={"x-api-key": self.key}, timeout=ANSWER_SECONDS,
        )  # fmt: skip
        try:
            if answer.status == 200:
                return Piece.of(answer.headers, answer.body)
        except ValueError as error:  # it took this for a scrape of its metrics
            raise TargetError(
                f"gateway {self.pod} does not know how to hand out its audit lines",
                hint="it runs an older llmops: llmops upgrade",
            ) from error
        raise TargetError(
            f"gateway {self.pod} does not hand out its audit lines: {answer.status}",
            hint="they were turned over meanwhile: try again" if answer.status == 410
            else f"kubectl -n {self.namespace} describe pod {self.pod}",
        )  # fmt: skip

    def pieces(self, callers: str) -> Iterator[Piece]:
        """A chain from its oldest line that is kept to its end."""
        after, ended = "", False
        while not ended:
            piece = self.piece(callers, after)
            after, ended = piece.next, piece.ended
            yield piece


@dataclass(slots=True)
class _Reading:
    """How far the lines of known callers have been read."""

    trail: Trail
    after: str = ""
    rest: bytes = b""
    """Half a line, whose end has not come."""

    def fresh(self) -> Iterator[str]:
        """The lines that have come since."""
        ended = False
        while not ended:
            piece = self.trail.piece(KNOWN, self.after)
            self.after, ended = piece.next, piece.ended
            *whole, self.rest = (self.rest + piece.content).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")


def lines(
    trails: Callable[[], Iterable[Trail]],
    *,
    follow: bool,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Lines of known callers that are kept, of all gateways, in the order of their times.

    Args:
        trails: Gives the gateways that there are now.
        follow: Whether to wait for more, for ever; also of gateways that come.
        pause: What waits.

    Raises:
        TargetError: When one of them does not hand its lines out.
    """
    readings = {trail.pod: _Reading(trail) for trail in trails()}
    yield from heapq.merge(*(one.fresh() for one in readings.values()), key=_time)
    while follow:
        pause(POLL)
        now = {trail.pod: trail for trail in trails()}
        readings = {pod: readings.get(pod) or _Reading(trail) for pod, trail in now.items()}
        for one in readings.values():
            with contextlib.suppress(LlmopsError):  # it starts, or ends: the next look tells
                yield from one.fresh()


def _time(line: str) -> float:
    """When a line was written; what is no line of an audit comes first."""
    try:
        return float(json.loads(line)["time"])
    except (ValueError, TypeError, KeyError):
        return 0.0


def verify(trail: Trail, callers: str, told: Anchor | None) -> Report:
    """Follow one chain of a gateway through all its files.

    Args:
        trail: The gateway.
        callers: Which of its chains.
        told: How far it has come, as the gateway told before it was read.

    Raises:
        TargetError: When it is not handed out.
    """
    found: dict[str, tuple[str, bytearray]] = {}
    last = Piece(b"", "", "", True, None)
    for last in trail.pieces(callers):
        number = last.next.partition(":")[0]  # a file's name may change while it is read
        found.setdefault(number, (last.file, bytearray()))[1].extend(last.content)
    verifier = Verifier(last.anchor, told)
    for name, content in found.values():
        verifier.follow(f"{trail.pod}/{name}", _whole(bytes(content)))
    return verifier.end(f"{trail.pod}/{last.file}")


def _whole(content: bytes) -> list[bytes]:
    """The lines of a file; its last one may have no end."""
    return content.removesuffix(b"\n").split(b"\n") if content else []


__all__ = ["Trail", "lines", "verify"]
