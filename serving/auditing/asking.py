"""Asks an endpoint as one caller or another, and keeps what was said: the proof of each finding.

What was asked is told with every finding, and no proof holds a key: it says whose key it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.auditing.keys import AuditKey
from serving.auditing.wire import Address, Answer, Link, send

Headers = Iterable[tuple[str, str]]

PLAIN = frozenset({"connection", "content-length", "content-type", "accept-encoding"})
"""Headers that a proof leaves out: nothing is to be seen in them."""

Hide = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was sent, with no key in it, and what came back."""

    sent: str
    answer: Answer

    @property
    def proof(self) -> str:
        """Both, on one line."""
        return f"{self.sent} -> {self.answer}"


class Caller:
    """Whoever asks an endpoint.

    Args:
        address: The endpoint's.
        secrets: What must not be shown, by text: the name that stands for it.
    """

    def __init__(self, address: Address, secrets: Mapping[str, str]) -> None:
        self.address = address
        self._secrets = secrets
        self.said: list[Asked] = []
        """All that was asked, for whoever looks at every answer."""

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: AuditKey | None = None,
        headers: Headers = (),
        document: Any = None,
        body: bytes = b"",
        host: str | None = None,
    ) -> Asked:
        """Send one well-framed request.

        Args:
            method: Of the request.
            path: As it is to be sent, whatever it is.
            key: Whose; None asks as nobody.
            headers: Beside those that each request has.
            document: The body as JSON, instead of `body`.
            body: The body.
            host: The Host header; the endpoint's own by default, and none where it is empty.
        """
        content = json.dumps(document).encode() if document is not None else body
        return self.raw(self.request(method, path, key, headers, content, host))

    def request(
        self,
        method: str,
        path: str,
        key: AuditKey | None = None,
        headers: Headers = (),
        body: bytes = b"",
        host: str | None = None,
        *,
        keep: bool = False,
    ) -> bytes:
        """The bytes of a well-framed request; `keep` leaves the connection open for more."""
        named = str(self.address) if host is None else host
        lines = [f"{method} {self.address.prefix}{path} HTTP/1.1"]
        lines += [f"Host: {named}"] if named else []
        lines += [f"Connection: {'keep-alive' if keep else 'close'}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in self.address.headers.items()]
        lines += [f"{name}: {value}" for name, value in self._key(key)]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method in ("POST", "PUT", "PATCH"):
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body

    def _key(self, key: AuditKey | None) -> Headers:
        if key is None:
            return ()
        if self.address.proxied:
            return (("x-api-key", key.text),)
        return (("Authorization", f"Bearer {key.text}"),)

    def raw(self, content: bytes, **waits: float) -> Asked:
        """Send these very bytes, and wait as `wire.send` is told to."""
        return self.note(content, send(self.address, content, **waits))

    def note(self, content: bytes, answer: Answer) -> Asked:
        """Keep what was sent and answered, without any key."""
        asked = Asked(self.shown(content), self._clean(answer))
        self.said.append(asked)
        return asked

    def open(self) -> Link:
        """A connection for several requests."""
        return Link(self.address)

    def leaks(self, content: bytes) -> str:
        """The name of a key that stands in `content`; empty when there is none."""
        found = (name for text, name in self._secrets.items() if text.encode() in content)
        return next(found, "")

    def _clean(self, answer: Answer) -> Answer:
        """The answer without what it repeats of a key; `opaque` keeps the bytes as they came."""
        if not self.leaks(answer.opaque):
            return answer
        headers = tuple((name, self._hidden(value)) for name, value in answer.headers)
        body = self._hidden(answer.body.decode("latin-1")).encode("latin-1")
        return Answer(answer.status, answer.reason, headers, body, answer.rest, answer.opaque)

    def _hidden(self, text: str) -> str:
        hidden = {text: f"<key {name}>" for text, name in self._secrets.items()}
        hidden |= dict.fromkeys(self.address.headers.values(), "<credential>")
        for secret, stand_in in hidden.items():
            text = text.replace(secret, stand_in)
        return text

    def shown(self, content: bytes) -> str:
        """A request as a proof shows it: on one line, its usual headers left out."""
        head, _, body = self._hidden(content.decode("latin-1")).partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        own = f"host: {self.address}".lower()
        kept = [x for x in rest if x.partition(":")[0].lower() not in PLAIN and x.lower() != own]
        text = "; ".join([first, *kept])
        text += f" [{len(body)} bytes: {body[:80]}]" if body else ""
        return _printable(text[:400])


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
