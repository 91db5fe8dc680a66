"""A request whose length can be read in two ways hides none, whoever sends it, whatever it asks."""

from __future__ import annotations

import pytest

from serving.auditing.wire import Address, send
from tests.auditing.stage import served
from tests.gateway.conftest import MakesGate

HIDDEN = b"GET /v1/models HTTP/1.1\r\nHost: hidden\r\n\r\n"
BODY = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize("path", [b"/v1/completions", b"/health", b"/v1/models", b"/metrics"])
@pytest.mark.parametrize("who", ["nobody", "a key", "a key at its limit"])
def test_an_ambiguous_length_ends_the_connection_whatever_is_answered(
    make_gate: MakesGate, path: bytes, who: str
) -> None:
    gate = make_gate(requests_per_minute=1)
    key = b"" if who == "nobody" else b"Authorization: Bearer %s\r\n" % gate.key.encode()
    content = b"POST %s HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n" % (path, key)
    content += b"Content-Length: 4\r\n\r\n" + BODY + HIDDEN
    with served(gate.app) as port:
        address = Address.of(f"http://127.0.0.1:{port}/v1")
        if who == "a key at its limit":
            send(address, b"GET /v1/models HTTP/1.1\r\nHost: x\r\n%s\r\n" % key)
        answer = send(address, content, linger=0.3)
    assert 400 <= answer.status < 500
    assert answer.header("connection") == "close"
    assert not answer.again
