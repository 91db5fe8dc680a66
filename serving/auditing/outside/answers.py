"""What answers give away: first those to nonsense, then all that an audit was given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llmops.policies import Finding, Severity
from serving.auditing.asking import Asked
from serving.auditing.check import unchecked
from serving.auditing.outside.judging import rejected
from serving.auditing.subject import Outside
from serving.auditing.telling import finding, together

INSIDE = re.compile(
    rb'Traceback \(most recent call last\)|File "[^"]+\.py", line \d+|site-packages/'
    rb"|\bray::|\bat 0x[0-9a-f]{6,}|/(?:home|usr|opt)/[\w./-]+\.py"
)
"""What only the program itself should see."""

BANNERS = ("server", "x-powered-by", "x-aspnet-version", "x-served-by", "via")

NONSENSE: tuple[bytes, ...] = (
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe\x00", b'{"model": NaN}', b"[" * 5000,
    b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"model": 1}', b'{"model": {"a": 1}, "prompt": "x"}',
)  # fmt: skip

WRONG: tuple[dict[str, Any], ...] = (
    {"prompt": {"a": 1}}, {"prompt": [{"a": 1}]}, {"prompt": [-1]}, {"prompt": [2**31]},
    {"max_tokens": "x"}, {"max_tokens": -1}, {"max_tokens": 2**80}, {"temperature": "hot"},
    {"temperature": -1}, {"top_p": 7}, {"n": 0}, {"stop": ["a"] * 99}, {"logit_bias": {"x": 1}},
    {"stream_options": {"x": 1}, "stream": True}, {"logprobs": 10**9}, {"seed": 2**70},
    {"no_such_field": 1}, {"prompt": "a\ud800b"}, {"echo": "x"},
)  # fmt: skip
"""Fields that no completion can have, beside those that it needs."""

MESSAGES: tuple[Any, ...] = ("x", [1], [{"role": 7}], [{}])


def nonsense(outside: Outside) -> Iterator[Finding]:
    """Requests that make no sense."""
    asked = [
        outside.ask("POST", path, keyed=True, body=body)
        for body in NONSENSE
        for path in ("/v1/completions", "/v1/chat/completions")
    ]
    asked += [outside.complete(**fields) for fields in WRONG]
    asked += [outside.chat(messages=messages) for messages in MESSAGES]
    yield from together(
        "audit.errors",
        "a request that makes no sense is not refused cleanly",
        (one for one in asked if not rejected(one) or not one.answer.status),
        "refuse it before it reaches the engine, with 400 and the field",
    )


def tracebacks(outside: Outside) -> Iterator[Finding]:
    """All answers, searched for what only the program itself should see."""
    yield from together(
        "audit.traceback",
        "an answer shows the inside of the program",
        (_around(one) for one in outside.caller.said if INSIDE.search(one.answer.opaque)),
        "answer with an error's kind and an id, and keep the rest in the log",
    )


def _around(asked: Asked) -> Asked:
    """The proof, from where the inside begins to show."""
    match = INSIDE.search(asked.answer.body)
    if match is None:
        return asked
    begin = max(0, match.start() - 40)
    return replace(asked, answer=replace(asked.answer, body=asked.answer.body[begin:]))


def banners(outside: Outside) -> Iterator[Finding]:
    """Headers that name what serves."""
    if outside.caller.address.proxied:
        return
    for name in BANNERS:
        with_it = next((one for one in outside.caller.said if one.answer.header(name)), None)
        if with_it is not None:
            yield finding(
                "audit.banner",
                "answers name the server's program",
                f"{name}: {with_it.answer.header(name)}, in {with_it.proof}",
                "leave the header out",
                Severity.WARN,
            )


def silences(outside: Outside) -> Iterator[Finding]:
    """Requests that had no answer in time: they were neither refused nor taken."""
    silent = [one for one in outside.caller.said if one.answer.silent]
    if silent:
        yield unchecked(f"{len(silent)} requests that had no answer in time", silent[0].proof)


def keys(outside: Outside) -> Iterator[Finding]:
    """Answers that repeat a key."""
    with_keys = ((outside.caller.leaks(one.answer.opaque), one) for one in outside.caller.said)
    yield from together(
        "audit.key-in-answer",
        "an answer repeats the key that came with its request",
        (one for name, one in with_keys if name),
        "an answer must hold nothing of a request's headers",
    )
