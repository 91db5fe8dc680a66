"""What is written down and what is answered holds no key, no prompt and no answer."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest

from serving.gateway import Audit, UpstreamGone
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import (
    CANARY,
    CHAT,
    Answer,
    FakeUpstream,
    Gate,
    message,
    refused,
    streamed,
    token,
    whole,
)


async def everything(gate: Gate) -> list[bytes]:
    """All kinds of decisions on requests that carry the canary wherever a client can put it;
    returns the bodies of the errors."""
    said = {"messages": [message(CANARY)], "user": CANARY, "stop": [CANARY]}
    extra = [("x-request-id", CANARY), ("host", CANARY), ("cookie", CANARY)]
    replies = [await gate.complete(path=CHAT, body=said, headers=extra)]
    gate.upstream.script.extend(
        [
            streamed(token(CANARY), UpstreamGone(CANARY)),
            refused(500, CANARY),
            RuntimeError(CANARY),
            UpstreamGone(CANARY),
            UpstreamGone(CANARY),
            Answer([CANARY.encode()], status=503),
            streamed(),
        ]
    )
    for stream in (True, False, False, False, False, True):
        body = said | {"stream": stream}
        replies.append(await gate.complete(path=CHAT, body=body, headers=extra))
    replies += [
        await gate.complete(path=CHAT, body=said, key=f"llmops-{CANARY}"),
        await gate.complete(path=CHAT, body=said | {"n": 99}),
        await gate.complete(path=CHAT, body=said | {"temperature": CANARY}),
        await gate.complete(path=CHAT, chunks=[CANARY.encode()]),
        await gate.complete(path=CHAT, chunks=[CANARY.encode() * 9000]),
        await gate.ask("GET", f"/{CANARY}"),
        await gate.ask("GET", f"/v1/{CANARY}", key=""),
        await gate.ask(CANARY, "/v1/models"),
        await gate.ask("GET", f"/v1/models/x?{CANARY}"),
    ]
    return [reply.body for reply in replies if reply.status != 200]


async def test_no_secret_is_written_or_answered(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(whole(CANARY)))
    errors = await everything(gate)
    places = {
        "the audit file": gate.audit_file.read_bytes(),
        "the strangers' audit file": gate.unknown_file.read_bytes(),
        "the metrics": generate_latest(gate.metrics.registry),
        "the gateway's state": json.dumps(gate.app.state()).encode(),
        "an error": b"\n".join(errors),
    }
    assert len(errors) > 10
    for place, content in places.items():
        assert content, f"{place} is empty: nothing was looked at"
        for what, secret in (
            ("content", CANARY),
            ("a key", gate.key),
            ("a key's secret", gate.key[24:]),
            ("a traceback", "Traceback"),
        ):
            assert secret.encode() not in content, f"{what} is in {place}"


async def test_every_decision_has_one_line(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(whole()))
    await everything(gate)
    known, unknown = gate.lines(), gate.lines(unknown=True)
    assert len(known) + len(unknown) == 16
    assert {line["reason"] for line in known} >= {
        "ok", "stream_cut", "engine_failed", "internal_error", "upstream_gone", "invalid_request",
        "invalid_json", "body_too_large", "not_found", "method_not_allowed", "model_not_found",
    }  # fmt: skip
    assert {line["reason"] for line in unknown} == {"invalid_api_key"}
    for line in known:
        assert line["key"] == "team-a"
        assert line["service"] == "tiny"
        assert {"time", "request", "method", "route", "status", "reason", "seconds"} <= line.keys()
    assert {line["route"] for line in known} == {CHAT, "/v1/models", "/v1/models/*", "other"}
    assert {line["method"] for line in known} == {"GET", "POST", "other"}
    assert [line["failure"] for line in known if line["reason"] == "internal_error"] == [
        "RuntimeError"
    ]


async def test_a_stranger_who_knocks_washes_nothing_away(
    make_gate: MakesGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.gateway.audit.MAX_BYTES", 2000)
    gate = make_gate()
    await gate.complete()
    for _ in range(100):
        await gate.ask("GET", "/v1/models", key="")
    [line] = gate.lines()
    assert line["status"] == 200
    total = sum(p.stat().st_size for p in gate.unknown_file.parent.glob("*unknown*"))
    assert 2000 < total < 6 * 2000, "the strangers' file is not bounded"


async def test_the_audit_files_are_the_owners_alone(
    make_gate: MakesGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.gateway.audit.MAX_BYTES", 500)
    gate = make_gate()
    for _ in range(10):
        await gate.complete()
    files = list(gate.audit_file.parent.iterdir())
    assert len(files) > 2, "no file was turned over"
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_an_audit_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(mode=0o644)
    audit = Audit(path)
    audit.write(key_id="x")
    audit.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["key_id"] == "x"


def test_an_audit_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Audit(tmp_path / "audit.jsonl")


def test_no_path_means_no_file() -> None:
    Audit(None).write(key_id="x")


async def test_labels_are_of_our_own_making(gate: Gate) -> None:
    await everything(gate)
    for metric in gate.metrics.registry.collect():
        for sample in metric.samples:
            labels = sample.labels
            assert labels.get("service", "tiny") in ("tiny", "")
            assert labels.get("key", "team-a") in ("team-a", "")
            assert labels.get("release", "3") in ("3", "")
            assert labels.get("status", "200").isdigit()


async def test_refused_requests_are_counted(gate: Gate) -> None:
    await gate.complete(key="")
    await gate.complete(body={"n": 99})
    count = "llmops_requests_total"
    assert gate.metric(count, service="", release="", key="", status="401") == 1
    assert gate.metric(count, service="tiny", release="", key="team-a", status="400") == 1


async def test_metrics_are_scraped_from_an_app_of_their_own(gate: Gate) -> None:
    await gate.complete()
    transport = httpx.ASGITransport(gate.metrics.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://metrics") as client:
        text = (await client.get("/metrics")).text
    labels = 'key="team-a",model="tiny",release="3",service="tiny",status="200"'
    assert f"llmops_requests_total{{{labels}}} 1.0" in text
