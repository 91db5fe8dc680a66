"""The events of a history, and their form as JSON lines. Times are Unix seconds of one clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class How(StrEnum):
    """How an exchange came to its end, as its client saw it."""

    CLOSED = "closed"
    """The server ended its answer as HTTP has it."""
    CANCELLED = "cancelled"
    """The client hung up, as it meant to."""
    BROKEN = "broken"
    """The connection failed, or nothing came in time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request is about to leave its client."""

    request: int
    """Its number in the load."""
    at: float
    key: str
    """Name of its key."""
    stream: bool
    tokens: int
    """As many as the answer must have."""
    asked: int | None = None
    """The release that it names; None leaves it to the gateway."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer has come."""

    request: int
    at: float
    status: int
    id: str
    release: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """An exchange has come to its end."""

    request: int
    at: float
    how: How
    text: str = ""
    """All that was generated, joined."""
    first_at: float | None = None
    """When the first piece of text came."""
    pieces: int = 0
    finish: str = ""
    """The finish reason that came."""
    done: bool = False
    """Whether a stream came to `[DONE]`, or a plain answer was one JSON document."""
    counted: int | None = None
    """Generated tokens, as the answer counts them."""
    error: str = ""
    """Code of the error that was told."""
    error_id: str = ""
    """Id of the request in that error, where it came inside of a stream."""
    why: str = ""
    """What a client was told by its own library when it broke."""


@dataclass(frozen=True, slots=True)
class Began:
    """A release is about to be made: nothing can have come of it before."""

    release: int
    at: float
    voice: str


@dataclass(frozen=True, slots=True)
class Live:
    """The command has said that the release holds all traffic."""

    release: int
    at: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The command has said that the release is removed."""

    release: int
    at: float


Event = Sent | Head | Ended | Began | Live | Gone
_KINDS = {kind.__name__.lower(): kind for kind in (Sent, Head, Ended, Began, Live, Gone)}


def dump(event: Event) -> str:
    """One line, without its end."""
    return json.dumps({"event": type(event).__name__.lower(), **asdict(event)})


def parse(line: str) -> Event:
    """The event of a line.

    Raises:
        ValueError: When it is none.
    """
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("event")]
        if kind is Ended:
            fields["how"] = How(fields["how"])
        event: Event = kind(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no event of a history: {line[:200]}") from error
    return event


@dataclass(frozen=True, slots=True)
class History:
    """Events by what they are about; of a request there may be too many or too few of a kind."""

    sent: dict[int, list[Sent]] = field(default_factory=dict)
    heads: dict[int, list[Head]] = field(default_factory=dict)
    ended: dict[int, list[Ended]] = field(default_factory=dict)
    began: dict[int, Began] = field(default_factory=dict)
    live: dict[int, Live] = field(default_factory=dict)
    gone: dict[int, Gone] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> History:
        """Events in any order."""
        made = cls()
        for event in events:
            if isinstance(event, Sent):
                made.sent.setdefault(event.request, []).append(event)
            elif isinstance(event, Head):
                made.heads.setdefault(event.request, []).append(event)
            elif isinstance(event, Ended):
                made.ended.setdefault(event.request, []).append(event)
            elif isinstance(event, Began):
                made.began[event.release] = event
            elif isinstance(event, Live):
                made.live[event.release] = event
            else:
                made.gone[event.release] = event
        return made

    def exchanges(self) -> list[tuple[Sent, Head | None, Ended]]:
        """Each request that was sent and ended: what `one_outcome` says nothing about is left to
        it, and told of once."""
        return [
            (sents[0], self.heads.get(number, [None])[0], self.ended[number][0])
            for number, sents in self.sent.items()
            if number in self.ended
        ]
