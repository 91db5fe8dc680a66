"""The doors of a real runtime: TLS renewed amid a stream, keys rotated, an audit log tampered with.

A stage of its own, because all services of one machine share whether the endpoint speaks TLS.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.stage import Stage, free_port

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

NAME = "doors"


class Doors:
    """A service behind TLS."""

    def __init__(self, stage: Stage, model: Path) -> None:
        self.stage = stage
        made = stage.run("keys", "tls", "-o", "json")
        assert made.code == 0, made.text
        self.files: dict[str, str] = made.json()
        tls = f"{{cert: {self.files['cert']}, key: {self.files['key']}}}"
        target = f"{{kind: local, port: {stage.port}, tls: {tls}}}"
        self.spec = stage.spec(NAME, f"file://{model}")
        text = self.spec.read_text().replace(f"{{kind: local, port: {stage.port}}}", target)
        self.spec.write_text(text)
        self.deployed = stage.deploy(self.spec)
        assert self.deployed.code == 0, self.deployed.text
        self.url = f"https://127.0.0.1:{stage.port}"

    def client(self, key: str = "") -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, verify=self.trust(), timeout=120)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.files["authority"])

    def status(self, key: str) -> int:
        with self.client(key) as client:
            return client.get("/v1/models").status_code

    def certificate(self) -> str:
        """The certificate that a new connection is shown."""
        return ssl.get_server_certificate(("127.0.0.1", self.stage.port), timeout=10)

    @property
    def audit(self) -> Path:
        return self.stage.home / "logs" / "audit.jsonl"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Doors]:
    home = tmp_path_factory.mktemp("doors-home")
    home.chmod(0o700)
    stage = Stage(home, tmp_path_factory.mktemp("doors-specs"), free_port())
    try:
        yield Doors(stage, model)
    finally:
        stage.end()


def until(so: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_the_endpoint_speaks_https_and_own_commands_trust_it(doors: Doors) -> None:
    assert doors.stage.status(NAME)["url"] == f"{doors.url}/v1"
    assert doors.url in doors.deployed.text
    said = doors.stage.run("chat", NAME, "hello", "--max-tokens", "4")
    assert said.code == 0, said.text
    measured = doors.stage.run("bench", NAME, "-n", "2", "-c", "1", "--max-tokens", "4")
    assert measured.code == 0, measured.text
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{doors.stage.port}/health", timeout=10)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{doors.url}/health", timeout=10)


def test_a_renewal_cuts_no_stream(doors: Doors) -> None:
    key, before = doors.stage.key(NAME, "streams"), doors.certificate()
    body = {"model": NAME, "prompt": "one", "max_tokens": 400, "ignore_eos": True, "stream": True}
    with doors.client(key) as client:
        with client.stream("POST", "/v1/completions", json=body) as answer:
            assert answer.status_code == 200
            pieces = answer.iter_text()
            text = next(pieces)
            assert doors.stage.run("keys", "tls", "--renew").code == 0
            until(lambda: doors.certificate() != before, "the new certificate is not shown")
            text += "".join(pieces)
        assert text.endswith("data: [DONE]\n\n")
        assert client.get("/v1/models").status_code == 200
    assert doors.certificate().strip() == Path(doors.files["cert"]).read_text().strip()


def test_a_pair_that_does_not_match_is_not_taken_and_told(doors: Doors) -> None:
    before, key = doors.certificate(), Path(doors.files["key"])
    good = key.read_bytes()
    key.write_bytes((doors.stage.home / "tls" / "ca-key.pem").read_bytes())
    try:
        until(
            lambda: any("keeps the certificate" in n for n in doors.stage.status(NAME)["notes"]),
            "status does not tell of the pair that cannot be used",
        )
        assert doors.certificate() == before
    finally:
        key.write_bytes(good)
    until(lambda: not doors.stage.status(NAME)["notes"], "it did not recover")


def test_a_service_beside_it_without_tls_is_refused(doors: Doors) -> None:
    other = doors.spec.with_name("other.yaml")
    text = doors.spec.read_text().replace(f"name: {NAME}", "name: other")
    start = text.index(", tls: {")
    other.write_text(text[:start] + text[text.index("}}", start) + 1 :])
    refused = doors.stage.run("plan", "-f", str(other))
    assert refused.code == 3, refused.text
    assert "speaks TLS with" in refused.text
    assert doors.files["cert"] in refused.text


def test_a_rotated_key_opens_through_the_overlap_and_an_expired_one_no_more(doors: Doors) -> None:
    old = doors.stage.key(NAME, "team-x")
    made = doors.stage.run("keys", "rotate", NAME, "team-x", "--overlap", "8s", "-o", "json")
    assert made.code == 0, made.text
    new = made.json()["key"]
    assert [doors.status(old), doors.status(new)] == [200, 200]
    until(lambda: doors.status(old) == 401, "the old key still opens after the overlap")
    assert doors.status(new) == 200
    listed = doors.stage.run("keys", "list", NAME, "-o", "json").json()["keys"]
    states = [key["state"] for key in listed if key["name"] == "team-x"]
    assert states == ["expired", "valid"]


def test_an_edited_audit_line_is_found_with_its_file_and_line(doors: Doors) -> None:
    shown = doors.stage.run("logs", NAME, "--audit")
    assert shown.code == 0, shown.text
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert {line["service"] for line in lines} == {NAME}
    good = doors.stage.run("logs", NAME, "--audit", "--verify")
    assert good.code == 0, good.text
    text = doors.audit.read_text()
    doors.audit.write_text(text.replace('"status": 200', '"status": 429', 1))
    number = next(n for n, line in enumerate(text.splitlines(), 1) if '"status": 200' in line)
    bad = doors.stage.run("logs", NAME, "--audit", "--verify")
    doors.audit.write_text(text)
    assert bad.code == 3, bad.text
    assert f"audit.jsonl:{number}: " in bad.out
    assert doors.stage.run("logs", NAME, "--audit", "--verify").code == 0


def test_a_cut_end_is_found_though_the_anchor_was_forged(doors: Doors) -> None:
    anchor = doors.audit.with_name("audit.anchor.json")
    text, anchored = doors.audit.read_text(), anchor.read_text()
    kept = text.splitlines(keepends=True)[:-2]
    last = json.loads(kept[-1])
    forged = {**json.loads(anchored), "seq": last["seq"], "hash": last["hash"]}
    doors.audit.write_text("".join(kept))
    anchor.write_text(json.dumps(forged).ljust(255) + "\n")
    bad = doors.stage.run("logs", NAME, "--audit", "--verify")
    doors.audit.write_text(text)
    anchor.write_text(anchored)
    assert bad.code == 3, bad.text
    assert "missing at the end" in bad.out
