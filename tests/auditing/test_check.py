"""A run of checks: nothing that failed is passed over, and nothing is told twice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import serving.auditing
from llmops.errors import InputError, TargetError
from llmops.policies import IDS, Finding, Severity
from serving.auditing import (
    MEANINGS,
    Address,
    Caller,
    Check,
    TemporaryKeys,
    chosen,
    perform,
)
from serving.auditing.wire import Answer
from serving.client import Line
from serving.gateway import Key
from tests.auditing.conftest import MakesStage
from tests.auditing.stage import GateKeys, ran

ROOT = Path(__file__).parents[2]
WRONG = Finding("audit.files", Severity.BLOCK, "", "open", "mode 0644", "close it")


def found(*findings: Finding) -> Check:
    return Check("audit.files", "files", lambda: findings)


def failing(error: Exception) -> Check:
    def run() -> Iterator[Finding]:
        yield WRONG
        raise error

    return Check("audit.sockets", "what listens", run)


@pytest.mark.parametrize("error", [TargetError("gone", hint="look"), PermissionError(13, "no")])
def test_a_check_that_fails_is_told_with_what_it_had_found(error: Exception) -> None:
    report = ran(perform([failing(error), found()]))
    assert report.made == 1
    assert report.found == (WRONG,)
    assert [one.message for one in report.unchecked] == ["not checked: what listens"]


def test_what_nobody_expected_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        ran(perform([failing(ZeroDivisionError())]))


def test_the_same_finding_of_two_checks_is_told_once() -> None:
    report = ran(perform([found(WRONG), found(WRONG)]))
    assert (report.made, report.found, report.blocks) == (2, (WRONG,), True)


@pytest.mark.parametrize(
    ("only", "ids"),
    [
        ([], ["audit.tls.plain", "audit.files", "audit.unchecked"]),
        (["tls"], ["audit.tls.plain", "audit.unchecked"]),
        (["audit.files"], ["audit.files", "audit.unchecked"]),
        (["tls.plain", "files"], ["audit.tls.plain", "audit.files", "audit.unchecked"]),
    ],
)
def test_checks_are_chosen_by_id_or_by_its_beginning(only: list[str], ids: list[str]) -> None:
    known = ("audit.tls.plain", "audit.files", "audit.unchecked")
    every = [Check(one, one, tuple) for one in known]
    assert [check.id for check in chosen(every, only)] == ids


def test_an_id_that_is_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="no check is called 'file'") as refused:
        chosen([], ["file"])
    assert "files" in refused.value.hint


def test_every_id_that_is_found_has_a_meaning_and_stands_on_the_page() -> None:
    package = Path(serving.auditing.__file__).parent
    sources = [*package.rglob("*.py"), *(ROOT / "clusters" / "auditing").rglob("*.py")]
    used = {text for text in _texts(sources) if re.fullmatch(r"audit(\.[a-z-]+)+", text)}
    assert used <= MEANINGS.keys()
    assert not MEANINGS.keys() & IDS.keys()
    page = (ROOT / "docs" / "audit.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z.-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert rows == dict(MEANINGS)


def _texts(sources: Iterable[Path]) -> list[str]:
    return [
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


# What is sent, and how it is shown


def test_a_proof_shows_no_key_and_no_credential() -> None:
    line = Line(headers={"authorization": "Bearer api-server-credential"}, proxied=True)
    address = Address.of("https://10.0.0.1:6443/api/v1/proxy/v1", line)
    caller = Caller(address, {"the-text-of-a-key": "audit-1"})
    lines = (
        b"GET / HTTP/1.1",
        b"authorization: Bearer api-server-credential",
        b"x-api-key: the-text-of-a-key",
    )
    sent = b"\r\n".join(lines) + b"\r\n\r\n"
    body = b"you sent the-text-of-a-key"
    asked = caller.note(sent, Answer(404, "Not Found", (), body, opaque=body))
    assert asked.proof == (
        "GET / HTTP/1.1; authorization: <credential>; x-api-key: <key audit-1>"
        " -> 404 Not Found, you sent <key audit-1>"
    )
    assert caller.leaks(asked.answer.opaque) == "audit-1"


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix"),
    [
        ("http://127.0.0.1:8000/v1", "127.0.0.1", 8000, ""),
        ("https://llm.example.com/v1", "llm.example.com", 443, ""),
        ("http://[::1]:8000/v1/", "::1", 8000, ""),
        ("https://api:6443/api/v1/namespaces/llm/services/chat/proxy/v1", "api", 6443,
         "/api/v1/namespaces/llm/services/chat/proxy"),
    ],
)  # fmt: skip
def test_an_address_is_read_from_a_url(url: str, host: str, port: int, prefix: str) -> None:
    address = Address.of(url)
    assert (address.host, address.port, address.prefix) == (host, port, prefix)
    assert (address.tls is not None) == url.startswith("https")


@pytest.mark.parametrize("url", ["ftp://x/v1", "http:///v1", "http://x:99999/v1", "http://a@b/v1"])
def test_what_is_no_url_of_an_endpoint_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        Address.of(url)


# Keys


class Stuck(GateKeys):
    """Cannot revoke its first key."""

    def revoke_key(self, service: str, name: str) -> Key:
        if name.endswith("-1"):
            raise TargetError("the runtime does not answer")
        return super().revoke_key(service, name)


def test_a_key_that_cannot_be_revoked_is_named_and_the_others_are_revoked(
    make_stage: MakesStage,
) -> None:
    gate = make_stage().gate
    with (
        pytest.raises(TargetError, match="may still open tiny") as failed,
        TemporaryKeys(Stuck(gate), "tiny") as keys,
    ):
        first, second = keys.make(), keys.make()
    assert failed.value.hint == f"llmops keys revoke tiny {first.name}"
    assert gate.keyring.find(first.text) is not None
    assert gate.keyring.find(second.text) is None


def test_keys_are_revoked_when_an_audit_is_broken_off(make_stage: MakesStage) -> None:
    gate = make_stage().gate
    texts: list[str] = []

    def broken_off() -> None:
        with TemporaryKeys(GateKeys(gate), "tiny") as keys:
            texts.append(keys.make().text)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert gate.keyring.find(texts[0]) is None
