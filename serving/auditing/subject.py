"""What an audit looks at from outside: an endpoint, what it promises, and a key to ask with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llmops.errors import TargetError
from llmops.planning import Limits
from serving.auditing.asking import Asked, Caller
from serving.auditing.keys import AuditKey, TemporaryKeys
from serving.auditing.routes import Route, tried

MOST_KEYS = 40
"""Keys that one audit makes, at most."""


@dataclass(frozen=True, slots=True)
class Promises:
    """What the live release says of its endpoint."""

    service: str
    limits: Limits
    context: int
    """Longest request in tokens."""
    others: tuple[str, ...] = ()
    """Other services that the same endpoint may have."""
    tls: str = ""
    """Why it must speak TLS; empty where it need not."""
    routes: tuple[Route, ...] = ()
    """Of the live engine."""
    routes_unknown: str = ""
    """Why these are not known; empty when they are."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a target's own record says that a key has used by now."""

    tokens: int
    """In this day of UTC."""
    usd: float
    """In this month of UTC, by the prices of its service."""


Counts = Callable[[str], Counted | None]
"""What is counted for a key, by its name; None where there is no record of it."""


@dataclass
class Outside:
    """An endpoint, and whoever asks it."""

    caller: Caller
    keys: TemporaryKeys
    promises: Promises
    few_keys: bool = False
    """Whether a key takes minutes until it opens, so that one has to do."""
    counts: Counts | None = None
    """None where a target has no record that could be looked at."""
    _key: AuditKey | None = field(default=None, repr=False)

    @property
    def key(self) -> AuditKey:
        """The key that the audit asks with."""
        if self._key is None:
            self._key = self.keys.make()
        return self._key

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route that is tried."""
        return tried(self.promises.routes)

    def fresh(self) -> AuditKey:
        """Another key, whose limits nobody has used.

        Raises:
            TargetError: When this audit has made as many as it may.
        """
        if self.few_keys or len(self.keys.texts) >= MOST_KEYS:
            raise TargetError("the key's limits are used up, and another one takes too long")
        return self.keys.make()

    def ask(self, method: str, path: str, *, keyed: bool = False, **options: Any) -> Asked:
        """Ask as nobody, or with a key that is within its limits (`Caller.ask`)."""
        if not keyed:
            return self.caller.ask(method, path, **options)
        return self._within(lambda key: self.caller.ask(method, path, key=key, **options))

    def _within(self, ask: Any) -> Asked:
        asked: Asked = ask(self.key)
        if asked.answer.status == 429:
            self._key = self.fresh()
            asked = ask(self._key)
        return asked

    def complete(self, **fields: Any) -> Asked:
        """Ask for a completion of one token, or as `fields` say otherwise."""
        return self.ask("POST", "/v1/completions", keyed=True, document=self.body(**fields))

    def body(self, **fields: Any) -> dict[str, Any]:
        """The body of the least completion, and `fields`."""
        least = {"model": self.promises.service, "prompt": "1", "max_tokens": 1}
        return fields | {name: value for name, value in least.items() if name not in fields}

    def chat(self, **fields: Any) -> Asked:
        """Ask for a chat of one token, or as `fields` say otherwise."""
        message = {"role": "user", "content": "1"}
        least = {"model": self.promises.service, "messages": [message], "max_tokens": 1}
        body = fields | {name: value for name, value in least.items() if name not in fields}
        return self.ask("POST", "/v1/chat/completions", keyed=True, document=body)

    def raw(self, content: bytes) -> Asked:
        """Send bytes as nobody."""
        return self.caller.raw(content)
