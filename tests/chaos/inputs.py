"""What is thrown at the door, as Hypothesis draws it: each input is what one line sends.

Each ends with a request that is in order and closes its line, so that whatever the door makes of
what came before, it comes to an end; what the door takes for a body swallows it.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.chaos.door import CANARY
from tests.chaos.wire import Part, request
from tests.gateway.test_fuzz import documents, paths, plausible, values

Input = tuple[Part, ...]

KEY = b"<key>"
"""Stands for the caller's key, which only a door that runs has."""
CHAT, COMPLETIONS = b"/v1/chat/completions", b"/v1/completions"
LAST = request(b"GET", b"/v1/models", [b"authorization: Bearer " + KEY, b"connection: close"])

routes = st.sampled_from([CHAT, COMPLETIONS])
keyed = st.sampled_from([KEY, KEY, KEY, b"llmops-" + CANARY.encode(), b"\xff\xfe", b""])


def post(route: bytes, body: bytes, key: bytes = KEY) -> bytes:
    return request(b"POST", route, [b"authorization: Bearer " + key], body=body)


def sent_in_order(route: bytes, body: bytes) -> Input:
    return (post(route, body), LAST)


# Bodies: the framing is in order, what it holds is not.

PLAIN = {"model": "tiny", "prompt": CANARY}
TALK = {"model": "tiny", "messages": [{"role": "user", "content": CANARY}]}
SPOILS = [
    b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b"NaN", b"1e999", b"-0", b"9" * 5000,
    b"[" * 2000, b'{"a":' * 2000, b"\xef\xbb\xbf", b"\x1b", b"//", b",", b"]", b'"', b"'", b"{}",
]  # fmt: skip


def spoilt(document: dict[str, Any], at: int, spoil: bytes, gone: int) -> bytes:
    text = json.dumps(document).encode()
    at %= len(text) + 1
    return text[:at] + spoil + text[at + gone :]


def grown(field: str, size: int, made: str) -> dict[str, Any]:
    """A document whose field has outgrown all bounds."""
    shapes: dict[str, Any] = {
        "number": 10**size, "list": ["x"] * (size * 20), "text": "x" * (size * 100),
        "object": {f"k{i}": i for i in range(size * 10)},
    }  # fmt: skip
    if made in shapes:
        return TALK | {field: shapes[made]}
    value: Any = {"$ref": "#"}
    for _ in range(size % 200):
        value = {"type": "object", "properties": {"a": value}} if made == "schema" else [value]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}
    return TALK | {field: [schema] if field == "tools" else schema}


fields = st.sampled_from(
    "n best_of max_tokens min_tokens seed stop stop_token_ids logit_bias bad_words user model"
    " response_format structured_outputs tools messages prompt logprobs top_k temperature".split()
)
patterns = st.text("{},01 9()a\t|[]*+?\\", max_size=60) | st.builds(
    lambda piece, often: piece * often,
    st.sampled_from(["{", "{ ", "{0}", "{,", " ", "(a{1,9}){9}", "{ , ", "\\"]),
    st.integers(1, 8200),
)


def constrained(way: str, pattern: str, often: int) -> dict[str, Any]:
    return TALK | {"structured_outputs": {way: pattern, "json": [{way: pattern}] * often}}


bodies = st.one_of(
    st.builds(lambda r, d: (r, json.dumps(d).encode()), routes, documents),
    st.builds(lambda found: (found[0].encode(), json.dumps(found[1]).encode()), plausible),
    st.builds(
        lambda r, *how: (r, spoilt(*how)),
        routes, st.sampled_from([PLAIN, TALK]), st.integers(0, 99), st.sampled_from(SPOILS),
        st.integers(0, 9),
    ),
    st.builds(
        lambda *how: (CHAT, json.dumps(grown(*how)).encode()),
        fields, st.integers(0, 4000),
        st.sampled_from(["number", "list", "text", "object", "schema", "nest"]),
    ),
    st.builds(
        lambda *how: (CHAT, json.dumps(constrained(*how)).encode()),
        st.sampled_from(["grammar", "regex", "pattern", "choice"]), patterns, st.integers(0, 16),
    ),
    st.tuples(routes, st.binary(max_size=200)),
    st.builds(lambda r, value: (r, json.dumps(value).encode()), routes, values),
)  # fmt: skip
bodied = bodies.map(lambda found: sent_in_order(*found))

# Heads: any method, target, version and headers.

methods = st.sampled_from(
    [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"get", b"G\0T",
     b"M-SEARCH", b"X" * 3000, b"\xff", b""]
)  # fmt: skip
targets = st.one_of(
    st.sampled_from(
        [CHAT, COMPLETIONS, b"/v1/models", b"/health", b"/v1/models/tiny", b"*", b"/" + b"a" * 9000,
         b"/v1/models/%f0%9f%90%88", "/v1/models/caf\u00e9".encode(), b"/v1/models?" + b"&" * 5000,
         b"http://door/v1/models", b"127.0.0.1:22", b"/%00", b"/..%2f..%2fetc/passwd"]
    ),
    paths,
)  # fmt: skip
odd_headers = st.sampled_from(
    [b"host: second", b"host: a/?x=", b"expect: 100-continue", b"expect: nonsense", b"x: \0",
     b"connection: upgrade\r\nupgrade: websocket", b"connection: upgrade\r\nupgrade: h2c",
     b"upgrade: x", b"connection: close", b"connection: keep-alive, x", b"x-api-key: " + KEY,
     b"authorization: Bearer " + KEY, b"authorization: Basic " + KEY, b"llmops-release: 1",
     b"llmops-release: \xff", b"x-forwarded-for: 127.0.0.1", b"x: a\r\n folded", b" begins: x",
     b"no colon", b": no name", b"x\0y: z", b"x: \xff\xfe", b"content-encoding: gzip",
     b"content-type: multipart/form-data", b"range: bytes=0-", b"trailer: authorization",
     b"te: trailers", b"x-request-id: " + CANARY.encode(), b"cookie: " + CANARY.encode(),
     b"x: " + b"a" * 70_000, b"\r\n".join(b"x-%d: a" % i for i in range(3000))]
)  # fmt: skip
lengths = st.sampled_from(
    [b"content-length: 0", b"content-length: 5", b"content-length: 5, 5", b"content-length: +5",
     b"content-length: -5", b"content-length: 0x5", b"content-length: 005", b"content-length: 5 5",
     b"content-length: " + b"9" * 25, b"content-length:", b"content-length : 5",
     b"content-length: 1000000000", b"content-length: 1048577", b"transfer-encoding: chunked",
     b"transfer-encoding: Chunked", b"transfer-encoding:\tchunked",
     b"transfer-encoding: \x0bchunked", b"transfer-encoding: gzip, chunked",
     b"transfer-encoding: chunked, chunked", b"transfer-encoding: identity",
     b"transfer-encoding\r\n: chunked", b"transfer-encoding : chunked"]
)  # fmt: skip
headers = st.lists(odd_headers | lengths | st.binary(max_size=40), max_size=5)
versions = st.sampled_from(
    [b" HTTP/1.1"] * 6 + [b" HTTP/1.0", b" HTTP/2", b" HTTP/1.12", b"", b"x"]
)
ends = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n"])


def headed(
    method: bytes, target: bytes, version: bytes, key: bytes, lines: list[bytes], end: bytes
) -> bytes:
    said = [method + b" " + target + version, b"host: door"]
    said += [b"authorization: Bearer " + key] if key else []
    return end.join([*said, *lines, b"", b""])


heads = st.builds(headed, methods, targets, versions, keyed, headers, ends)

# Framing: heads, bodies and chunks one after the other, cut anywhere and sent slowly.

chunk_sizes = st.sampled_from(
    [b"5", b"05", b"5;x=y", b"5 ", b"+5", b"-5", b"0x5", b"zz", b"", b"f" * 17, b"F" * 25,
     b"5" * 25, b"5;" + b"x" * 70_000, b"0", b"00"]
)  # fmt: skip
chunks = st.builds(
    lambda size, data, end: size + end + data + end,
    chunk_sizes, st.sampled_from([b"hello", b"", b"hell", b"hello!", b"\0\0\0\0\0"]), ends,
)  # fmt: skip
whole = json.dumps(PLAIN).encode()
fragments = st.one_of(
    heads,
    st.builds(
        lambda route, key, length: headed(
            b"POST", route, b" HTTP/1.1", key, [length], b"\r\n"
        ),
        routes, keyed, lengths,
    ),
    chunks,
    chunks,
    st.sampled_from(
        [b"%x\r\n%s\r\n0\r\n\r\n" % (len(whole), whole), whole, LAST, b"0\r\n\r\n", b"\r\n", b"\0",
         b"0\r\nauthorization: Bearer " + KEY + b"\r\n\r\n", b"1\r\nx\r\n" * 5000,
         b"\x16\x03\x01\x02", post(COMPLETIONS, whole),
         post(COMPLETIONS, json.dumps(PLAIN | {"stream": True}).encode())]
    ),
    st.binary(max_size=60),
)  # fmt: skip
pauses = st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.05])


def cut(parts: list[bytes], places: list[tuple[int, float]]) -> Input:
    """The parts as one text, sent with a pause at each of some places."""
    text, begun = b"".join(parts), 0
    found: list[Part] = []
    for place, pause in sorted((at % (len(text) + 1), pause) for at, pause in places):
        found += [text[begun:place], pause]
        begun = place
    return (*found, text[begun:], LAST)


framed = st.builds(
    cut,
    st.lists(fragments, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 2000), pauses), max_size=3),
)
KINDS: dict[str, st.SearchStrategy[Input]] = {
    "bodies": bodied,
    "heads": heads.map(lambda head: (head, LAST)),
    "framing": framed,
}
