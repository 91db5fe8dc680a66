"""What a request with a good key may ask for: no more than the release's limits say."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

from llmops.policies import Finding
from serving.auditing.asking import Asked
from serving.auditing.check import unchecked
from serving.auditing.outside.judging import rejected
from serving.auditing.subject import Outside
from serving.auditing.telling import finding, together

MOST_BODY = 8 * 2**20
"""Bytes that an audit sends at most."""

FIELDS: dict[str, Any] = {
    "prompt_embeds": "AAAA",
    "kv_transfer_params": {"do_remote_prefill": False},
    "vllm_xargs": {"audit": 1},
    "mm_processor_kwargs": {"num_crops": 1},
    "cache_salt": "audit",
    "priority": -1,
    "truncate_prompt_tokens": 1,
    "lora_request": {"lora_name": "x", "lora_int_id": 1, "lora_path": "/x"},
    "request_id": "audit",
    "logits_processors": ["none"],
}
"""Fields of vLLM's that are not OpenAI's: each reaches past what a client should decide."""


def body(outside: Outside) -> Iterator[Finding]:
    """A body of a little more than may be."""
    limit = outside.promises.limits.max_body
    if limit > MOST_BODY:
        yield unchecked("the limit of a body", f"it is {limit} bytes, and an audit sends fewer")
        return
    content = json.dumps(outside.body()).encode()
    padded = content[:-1] + b" " * (limit + 1 - len(content)) + b"}"
    asked = outside.ask("POST", "/v1/completions", keyed=True, body=padded)
    # A server that refuses early may cut the connection before its answer was read.
    if not rejected(asked):
        yield finding(
            "audit.body",
            f"a body of {len(padded)} bytes is taken, and at most {limit} are allowed",
            asked.proof,
            "security.max_body says the limit: the gateway has to hold to it",
        )


def choices(outside: Outside) -> Iterator[Finding]:
    """More answers than may be asked for."""
    over = outside.promises.limits.max_choices + 1
    asked = [outside.complete(n=over), outside.complete(best_of=over), outside.chat(n=over)]
    yield from together(
        "audit.choices",
        f"a request may ask for {over} answers, and at most {over - 1} are allowed",
        (one for one in asked if not rejected(one)),
        "security.max_choices says the limit: the gateway has to hold to it",
    )


def tokens(outside: Outside) -> Iterator[Finding]:
    """More tokens than may be asked for. Whoever starts to generate them is hung up on."""
    over = min(outside.promises.limits.max_tokens, outside.promises.context) + 1
    asked = [
        _first_bytes(outside, outside.body(max_tokens=over, stream=True)),
        outside.complete(min_tokens=over),
    ]
    yield from together(
        "audit.max-tokens",
        f"a request may ask for {over} tokens, and at most {over - 1} are allowed",
        (one for one in asked if not rejected(one)),
        "security.max_tokens says the limit: the gateway has to hold to it",
    )


def _first_bytes(outside: Outside, document: dict[str, Any]) -> Asked:
    """Ask, and hang up once the answer has begun: that stops what it generates."""
    outside.complete()  # a key that is at its limit is changed here
    content = outside.caller.request(
        "POST", "/v1/completions", outside.key, body=json.dumps(document).encode()
    )
    with outside.caller.open() as link:
        link.send(content)
        return outside.caller.note(content, link.begin())


def templates(outside: Outside) -> Iterator[Finding]:
    """A template of one's own: it is a program, and its text would run in the server."""
    template = "{{ messages[0]['content'] }}"
    asked = [
        outside.chat(chat_template=template),
        outside.chat(chat_template_kwargs={"audit": True}),
    ]
    yield from together(
        "audit.templates",
        "a request may bring its own chat template",
        (one for one in asked if not rejected(one)),
        "refuse chat_template and chat_template_kwargs in requests (CVE-2025-62426)",
    )


def fields(outside: Outside) -> Iterator[Finding]:
    """Fields of the engine that are not of OpenAI's API."""
    asked = [outside.complete(**{name: value}) for name, value in FIELDS.items()]
    yield from together(
        "audit.fields",
        "a request may hold fields that reach past the API",
        (one for one in asked if not rejected(one)),
        "let only listed fields through",
    )


def media(outside: Outside) -> Iterator[Finding]:
    """A picture at an address of this machine: whether it is fetched is seen here."""
    with socket.create_server(("127.0.0.1", 0)) as decoy:
        url = f"http://127.0.0.1:{decoy.getsockname()[1]}/audit.png"
        part = {"type": "image_url", "image_url": {"url": url}}
        asked = outside.chat(messages=[{"role": "user", "content": [part]}])
        fetched = _visited(decoy)
    if fetched or not rejected(asked):
        seen = f"; the address was visited by {fetched}" if fetched else ""
        yield finding(
            "audit.media",
            "a request may make the server fetch an address",
            f"{asked.proof}{seen}",
            "take messages of text only (CVE-2026-24779)",
        )


def _visited(decoy: socket.socket) -> str:
    decoy.setblocking(False)
    try:
        visitor, address = decoy.accept()
    except BlockingIOError:
        return ""
    visitor.close()
    return f"{address[0]}:{address[1]}"


def schemas(outside: Outside) -> Iterator[Finding]:
    """What an answer is held to: a pattern and a tree that are large, and harm nobody."""
    pattern = {"type": "string", "pattern": "a" * 600}
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(80):
        deep = {"type": "object", "properties": {"a": deep}}
    asked = [outside.chat(response_format=_format(schema)) for schema in (pattern, deep)]
    asked.append(outside.complete(structured_outputs={"regex": "a" * 600}))
    yield from together(
        "audit.schemas",
        "a request may constrain its answer beyond all bounds",
        (one for one in asked if not rejected(one)),
        "bound schemas, patterns and grammars (PYSEC-2026-4199)",
    )


def _format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "audit", "schema": schema}}
