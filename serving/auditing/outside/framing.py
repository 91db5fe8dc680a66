"""Requests that two servers in a row could read in two ways: one can hide in another.

Through a proxy that reads what is sent these say nothing about the gateway behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmops.policies import Finding
from serving.auditing.asking import Asked
from serving.auditing.keys import AuditKey
from serving.auditing.outside.judging import closed, rejected
from serving.auditing.subject import Outside
from serving.auditing.telling import together

LINGER = 1.0
"""Seconds in which a second answer to one request would come."""
SECONDS = 5.0
"""For an answer: a server that takes a length for the larger one waits for the rest of it."""

HIDDEN = b"GET /v1/models HTTP/1.1\r\nHost: hidden\r\n\r\n"
"""What would be hidden: refused as a request of its own, but answered."""


def smuggling(outside: Outside) -> Iterator[Finding]:
    """Bodies whose end is told twice, or not at all: of somebody with a key, and of nobody, since
    what is refused before its body is read must not leave the connection open either."""
    contents = [*_ambiguous(outside, None), *_ambiguous(outside, outside.key)]
    asked = [outside.caller.raw(one, linger=LINGER, seconds=SECONDS) for one in contents]
    yield from together(
        "audit.smuggling",
        "a request whose length can be read in two ways is not refused",
        (one for one in asked if not rejected(one)),
        "refuse a request that tells its length twice, and end its connection",
    )


def _ambiguous(outside: Outside, key: AuditKey | None) -> Iterator[bytes]:
    head = outside.caller.request("POST", "/v1/completions", key, keep=True)
    head = head.partition(b"Content-Type")[0] + b"Content-Type: application/json\r\n"
    body = b'{"model": "x", "prompt": "1", "max_tokens": 1}'
    length = b"Content-Length: %d\r\n"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    twice = b"Transfer-Encoding: chunked\r\n"
    yield head + length % len(chunked) + twice + b"\r\n" + chunked + HIDDEN
    yield head + length % 4 + twice + b"\r\n" + chunked + HIDDEN
    yield head + length % len(body) + length % (len(body) + 5) + b"\r\n" + body + HIDDEN
    yield head + b"Content-Length: +%d\r\n\r\n" % len(body) + body
    yield head + b"Content-Length: -1\r\n\r\n" + body
    yield head + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked
    yield head + b"Transfer-Encoding: identity, chunked\r\n" + length % 4 + b"\r\n" + chunked
    yield head + b"Transfer-Encoding : chunked\r\n" + length % 4 + b"\r\n" + chunked


def folded(outside: Outside) -> Iterator[Finding]:
    """A key that stands where no server may find one: in a folded or misspelt header."""
    key = outside.key.text.encode()
    first = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    contents = [
        first + b"X-Note: a\r\n Authorization: Bearer " + key + b"\r\n\r\n",
        first + b"Authorization : Bearer " + key + b"\r\n\r\n",
        first + b" Authorization: Bearer " + key + b"\r\n\r\n",
        first + b"X-Note: a\rAuthorization: Bearer " + key + b"\r\n\r\n",
        b"GET /v1/models\r\n\r\n",
    ]
    yield from together(
        "audit.smuggling",
        "a header that is not well formed is read as one that is",
        (a for c in contents if (a := outside.caller.raw(c)).answer.good),
        "refuse heads that are not well formed",
    )


def two_keys(outside: Outside) -> Iterator[Finding]:
    """Two keys in one request: which counts must not be left to chance."""
    good, bad = outside.key.text, f"llmops-{'0' * 16}-{'A' * 43}"
    pairs = [
        [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {bad}")],
        [("Authorization", f"Bearer {bad}"), ("Authorization", f"Bearer {good}")],
        [("Authorization", f"Bearer {bad}"), ("x-api-key", good)],
        [("x-api-key", bad), ("Authorization", f"Bearer {good}")],
        [("Authorization", f"Bearer {bad}, Bearer {good}")],
    ]
    asked: list[Asked] = [outside.ask("GET", "/v1/models", headers=pair) for pair in pairs]
    yield from together(
        "audit.two-keys",
        "a request with two keys is not refused",
        (one for one in asked if not closed(one) and one.answer.status != 400),
        "refuse a request that carries more than one key",
    )
