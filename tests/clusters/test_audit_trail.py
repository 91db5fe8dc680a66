"""Audit lines read from pods: in order, verified by the very bytes, and never fewer in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from clusters.audit_trail import Trail, lines, verify
from clusters.ports import Proxied
from llmops.errors import TargetError
from serving.gateway import Anchor, Audit, audit_piece

KEY = "llmops-0123456789abcdef-operator"


class Pods:
    """Gateways of a namespace, asked through an API server."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.asked: list[tuple[str, str]] = []
        self.answers: list[Proxied] = []
        """Answers in the place of a gateway's own."""

    def proxy(
        self, pod: str, namespace: str, port: int, path: str, *, headers: Any, timeout: float
    ) -> Proxied:
        assert (namespace, port, headers["x-api-key"], timeout > 0) == ("llm", 9090, KEY, True)
        if self.answers:
            return self.answers.pop(0)
        asked = parse_qs(urlsplit(path).query)
        self.asked.append((pod, asked["callers"][0]))
        piece = audit_piece(self.file(pod), asked["callers"][0], asked.get("after", [""])[0])
        return Proxied(200, piece.headers(), piece.content)

    def file(self, pod: str) -> Path:
        return self.home / pod / "audit.jsonl"

    def trail(self, pod: str) -> Trail:
        client: Any = self
        return Trail(client, "llm", pod, KEY)


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    return Pods(tmp_path)


def writes(pods: Pods, monkeypatch: pytest.MonkeyPatch, *what: tuple[str, float]) -> None:
    """Have lines be written, by pod and time."""
    for pod, when in what:
        monkeypatch.setattr("serving.gateway.audit.time.time", lambda when=when: when)
        audit = Audit(pods.file(pod))
        audit.write(key_id="k", service="chat")
        audit.close()


def times(found: Iterator[str] | list[str]) -> list[float]:
    return [json.loads(line)["time"] for line in found]


def test_lines_of_all_gateways_come_in_the_order_of_their_times(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(pods, monkeypatch, ("a", 1.0), ("b", 2.0), ("a", 3.0), ("b", 4.0))
    found = lines(lambda: [pods.trail("b"), pods.trail("a")], follow=False)
    assert times(found) == [1.0, 2.0, 3.0, 4.0]


def test_lines_that_come_are_followed_and_gateways_that_come_too(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(pods, monkeypatch, ("a", 1.0))
    there = ["a"]

    def later(_: float) -> None:
        writes(pods, monkeypatch, ("a", 2.0), ("b", 3.0))
        there[:] = ["a", "b"]

    found = lines(lambda: [pods.trail(pod) for pod in there], follow=True, pause=later)
    assert times([next(found) for _ in range(3)]) == [1.0, 2.0, 3.0]


def test_a_gateway_that_is_silent_for_a_while_is_followed_all_the_same(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(pods, monkeypatch, ("a", 1.0))
    pauses = iter([Proxied(503, {}, b""), None])

    def later(_: float) -> None:
        if answer := next(pauses):
            pods.answers = [answer]
        writes(pods, monkeypatch, ("a", 2.0))

    found = lines(lambda: [pods.trail("a")], follow=True, pause=later)
    assert times([next(found) for _ in range(3)]) == [1.0, 2.0, 2.0]


def test_a_chain_that_nobody_touched_is_whole(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    writes(pods, monkeypatch, *[("a", float(at)) for at in range(5)])
    report = verify(pods.trail("a"), "known", None)
    assert (report.verified, report.faults) == (5, [])
    assert verify(pods.trail("a"), "unknown", None).verified == 0


def test_a_line_that_was_edited_or_cut_away_is_found(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(pods, monkeypatch, *[("a", float(at)) for at in range(5)])
    file = pods.file("a")
    text = file.read_text()
    file.write_text(text.replace("chat", "chap", 1))
    assert "line 1 of the chain was edited" in str(verify(pods.trail("a"), "known", None).faults[0])
    whole = text.splitlines(keepends=True)
    file.write_text("".join(whole[:-1]))
    anchor = file.with_suffix(".anchor.json")
    told = Anchor.parse(anchor.read_bytes())
    assert "line 5 is missing" in str(verify(pods.trail("a"), "known", None).faults[0])
    before = Anchor(4, json.loads(whole[3])["hash"], 1)
    anchor.write_bytes(before.dump())
    assert verify(pods.trail("a"), "known", None).faults == []
    assert "line 5 is missing" in str(verify(pods.trail("a"), "known", told).faults[0])


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (Proxied(200, {"content-type": "text/plain"}, b"# HELP"), "does not know how", "upgrade"),
        (Proxied(401, {}, b"{}"), "401", "describe pod a"),
        (Proxied(410, {}, b"{}"), "410", "try again"),
        (Proxied(503, {}, b""), "503", "describe pod a"),
    ],
    ids=["an older gateway", "another key", "turned over", "not there"],
)
def test_a_gateway_that_hands_nothing_out_is_told(
    pods: Pods, answer: Proxied, message: str, hint: str
) -> None:
    pods.answers = [answer, answer]
    for read in (
        lambda: list(lines(lambda: [pods.trail("a")], follow=False)),
        lambda: verify(pods.trail("a"), "known", None),
    ):
        with pytest.raises(TargetError) as caught:
            read()
        assert message in caught.value.message
        assert hint in caught.value.hint
        assert KEY not in f"{caught.value}{caught.value.hint}{pods.trail('a')!r}"
