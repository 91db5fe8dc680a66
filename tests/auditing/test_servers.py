"""What is not our gateway is found out: servers that answer as servers in life have answered."""

from __future__ import annotations

import ssl
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from llmops.errors import UnreachableError
from llmops.planning import Limits
from serving.auditing import Address
from serving.client import Line
from serving.gateway import ServerTls
from serving.local.issuing import make_authority, make_server
from tests.auditing.conftest import MakesStage
from tests.auditing.stage import (
    LIMITS,
    Everlasting,
    Forgetful,
    Stage,
    handled,
    ids,
    local,
    one,
    served,
)

MODELS = b'{"object": "list", "data": []}'


class Guarded(BaseHTTPRequestHandler):
    """Asks for a key and knows one path; the weakness is in what a subclass changes."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "", ""

    def path_of(self) -> str:
        return self.path

    def has_key(self) -> bool:
        return self.headers.get("authorization", "").startswith("Bearer llmops-")

    def do_GET(self) -> None:
        if not self.has_key():
            self.give(401)
        elif self.path_of() == "/v1/models":
            self.give(200, MODELS)
        else:
            self.give(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.do_GET()

    def give(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Yes(Guarded):
    """200 for everything, whoever asks, whatever it is."""

    def do_GET(self) -> None:
        self.give(200, b"ok")

    def do_OPTIONS(self) -> None:
        self.do_GET()


class Decoding(Guarded):
    """Guards by the path as it was sent, and serves by the path as it decodes it."""

    def path_of(self) -> str:
        return "/" + unquote(self.path).strip("/").lower().replace("//", "/")

    def has_key(self) -> bool:
        return not self.path.startswith("/v1") or super().has_key()


class BelievingHost(Guarded):
    """The hole of CVE-2026-48710: the guard looks at a URL that is made with the Host header."""

    def has_key(self) -> bool:
        url = f"http://{self.headers.get('host', '')}{self.path}"
        return urlsplit(url).path != "/v1/models" or super().has_key()


class BelievingProxies(Guarded):
    """Whoever says that it comes from this machine is let in."""

    def has_key(self) -> bool:
        return self.headers.get("x-forwarded-for") == "127.0.0.1" or super().has_key()


class AnyKey(Guarded):
    """The first of several keys that looks like one will do."""

    def has_key(self) -> bool:
        return any(
            v.startswith("Bearer llmops-") for v in self.headers.get_all("authorization", [])
        )


class Telling(Guarded):
    """Answers nonsense with a traceback, and says what it is."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        text = b'Traceback (most recent call last):\n  File "server.py", line 9, in post\n'
        self.give(500, text, server="uvicorn")


class Repeating(Guarded):
    """Answers with the headers that it was sent."""

    def do_GET(self) -> None:
        self.give(404, str(self.headers).encode())


class Tracing(Guarded):
    """Answers TRACE, as a server's defaults once did."""

    def do_TRACE(self) -> None:
        self.give(200, str(self.headers).encode())


@pytest.mark.parametrize(
    ("server", "identifier", "proof"),
    [
        (Yes, "audit.anonymous", "-> 200"),
        (Yes, "audit.routes", "-> 200"),
        (Yes, "audit.health", "GET /health HTTP/1.1 -> 200 OK, ok"),
        (Yes, "audit.errors", "-> 200"),
        (Decoding, "audit.paths", "-> 200"),
        (BelievingHost, "audit.host", "Host: a/?x="),
        (BelievingProxies, "audit.forwarded", "X-Forwarded-For: 127.0.0.1"),
        (Guarded, "audit.wrong-key", "-> 200"),
        (Guarded, "audit.smuggling", "Transfer-Encoding: chunked"),
        (AnyKey, "audit.two-keys", "<key audit-"),
        (Tracing, "audit.methods", "TRACE /v1/models"),
    ],
)  # fmt: skip
def test_a_weak_server_is_found_with_the_request_and_its_answer(
    make_stage: MakesStage, server: type[BaseHTTPRequestHandler], identifier: str, proof: str
) -> None:
    with handled(server) as port:
        report = make_stage().audit(local(port), identifier)
    one(report, identifier)
    assert proof in "".join(found.proof for found in report.found if found.id == identifier)


def test_a_traceback_and_a_banner_are_found_in_whatever_was_answered(
    make_stage: MakesStage,
) -> None:
    with handled(Telling) as port:
        report = make_stage().audit(local(port), "errors", "traceback", "banner")
    assert ids(report) == {"audit.errors", "audit.traceback", "audit.banner"}
    assert "Traceback (most recent call last)" in one(report, "audit.traceback").proof
    assert "server: uvicorn" in one(report, "audit.banner").proof


def test_a_key_that_an_answer_repeats_is_found_and_not_shown(make_stage: MakesStage) -> None:
    with handled(Repeating) as port:
        report = make_stage().audit(local(port), "routes", "key-in-answer")
    found = one(report, "audit.key-in-answer")
    assert "<key audit-" in found.proof
    assert all("llmops-" not in f"{f.message} {f.proof} {f.fix}" for f in report.findings)


@pytest.mark.parametrize(
    ("keys", "identifier"),
    [(Forgetful, "audit.revoked-key"), (Everlasting, "audit.expired-key")],
)
def test_a_key_that_has_ended_and_opens_is_found(
    make_stage: MakesStage, keys: Any, identifier: str
) -> None:
    stage = Stage(make_stage().gate, keys)
    found = one(stage.served(identifier), identifier)
    assert "<key audit-" in found.proof
    assert "-> 200" in found.proof


def limited(**limits: Any) -> Limits:
    return replace(LIMITS, **limits)


def test_limits_that_bite_are_clean(make_stage: MakesStage) -> None:
    limits: dict[str, Any] = {"concurrent_requests": 5, "tokens_per_minute": 5000}
    stage = make_stage(**limits).promising(limits=limited(**limits))
    report = stage.served("limits")
    assert report.findings == ()


def test_a_limit_of_requests_in_flight_that_does_not_bite_is_found(make_stage: MakesStage) -> None:
    stage = make_stage().promising(limits=limited(concurrent_requests=3))
    found = one(stage.served("limits.concurrent"), "audit.limits.concurrent")
    assert found.proof.startswith("3 x POST /v1/completions")


def test_a_limit_of_tokens_that_does_not_bite_is_found(make_stage: MakesStage) -> None:
    stage = make_stage().promising(limits=limited(tokens_per_minute=5000))
    found = one(stage.served("limits.tokens"), "audit.limits.tokens")
    assert "leaves nothing of nothing" in found.message


def test_a_high_limit_is_held_against_what_answers_say_and_told_as_not_reached(
    make_stage: MakesStage,
) -> None:
    high = limited(requests_per_minute=9000)
    agreeing = make_stage(requests_per_minute=9000).promising(limits=high).served("limits.requests")
    assert [f.id for f in agreeing.findings] == ["audit.unchecked"]
    other = make_stage().promising(limits=high).served("limits.requests")
    assert "is 9000, and answers say 600" in one(other, "audit.limits.requests").message


class Certificates:
    """An authority, and a certificate of it that lasts so many days."""

    def __init__(self, home: Path, days: int) -> None:
        self.authority = make_authority(time.time(), 90)
        pair = make_server(self.authority, ("127.0.0.1", "localhost"), time.time(), days)
        self.files = home / "server.pem", home / "server-key.pem"
        for path, content in zip(self.files, pair, strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)

    def server(self) -> ssl.SSLContext:
        return ServerTls(*self.files).context

    def address(self, port: int) -> Address:
        trust = ssl.create_default_context(cadata=self.authority[0].decode())
        return Address.of(f"https://127.0.0.1:{port}/v1", Line(verify=trust))


def test_the_gateways_own_tls_is_clean(make_stage: MakesStage, tmp_path: Path) -> None:
    made, stage = Certificates(tmp_path, 60), make_stage().promising(tls="it has a certificate")
    with served(stage.gate.app, made.server()) as port:
        report = stage.audit(made.address(port), "tls", "anonymous")
    assert report.findings == ()


def test_tls_that_is_off_is_found(make_stage: MakesStage) -> None:
    report = make_stage().promising(tls="its release has a certificate for it").served("tls")
    found = one(report, "audit.tls.plain")
    assert "GET /health HTTP/1.1" in found.proof


def test_weak_ciphers_are_found(make_stage: MakesStage, tmp_path: Path) -> None:
    made, stage = Certificates(tmp_path, 60), make_stage()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made.files)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with served(stage.gate.app, context) as port:
        report = stage.audit(made.address(port), "tls.ciphers")
    assert "TLSv1.2, ECDHE-ECDSA-" in one(report, "audit.tls.ciphers").proof


def test_a_certificate_that_ends_soon_or_is_nobodys_is_found(
    make_stage: MakesStage, tmp_path: Path
) -> None:
    made, stage = Certificates(tmp_path, 3), make_stage()
    with served(stage.gate.app, made.server()) as port:
        soon = stage.audit(made.address(port), "tls.certificate")
        stranger = Address.of(f"https://127.0.0.1:{port}/v1")
        untrusted = stage.audit(stranger, "tls.certificate")
    assert "in 2 days" in one(soon, "audit.tls.certificate").message
    assert "unable to get local issuer" in one(untrusted, "audit.tls.certificate").proof


def test_nobody_at_the_address_ends_the_audit(make_stage: MakesStage) -> None:
    stage = make_stage()
    with served(stage.gate.app) as port:
        pass
    with pytest.raises(UnreachableError, match="nobody can be reached"):
        stage.audit(local(port), "anonymous")
