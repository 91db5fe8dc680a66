"""Audit files handed out piece by piece: the very bytes, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.gateway import Audit, Ops, Piece, audit, audit_pages, audit_piece
from tests.gateway.fakes import Gate, ask

VERSIONS = {"llmops": "1"}
COUNT = 60


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some lines, and pieces of less than one."""
    monkeypatch.setattr(audit, "MAX_BYTES", 4096)
    monkeypatch.setattr(audit_pages, "PIECE", 150)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Audit]:
    made = Audit(tmp_path / "audit.jsonl")
    yield made
    made.close()


def write(writer: Audit, count: int) -> None:
    for number in range(count):
        writer.write(key_id="k", service="tiny", number=number)


def pieces(path: Path, after: str = "") -> Iterator[Piece]:
    while True:
        piece = audit_piece(path, "known", after)
        yield piece
        if piece.ended:
            return
        after = piece.next


def whole(path: Path) -> bytes:
    older = sorted(path.parent.glob("audit.jsonl.*"), reverse=True)
    return b"".join(file.read_bytes() for file in (*older, path))


def test_pieces_put_together_are_the_files_as_they_are(tmp_path: Path, writer: Audit) -> None:
    path = tmp_path / "audit.jsonl"
    write(writer, COUNT)
    found = list(pieces(path))
    assert b"".join(piece.content for piece in found) == whole(path)
    assert len({piece.file for piece in found}) > 1
    assert found[-1].anchor is not None
    assert found[-1].anchor.seq == COUNT
    assert all(Piece.of(piece.headers(), piece.content) == piece for piece in found)


def test_what_is_written_and_turned_over_meanwhile_follows(tmp_path: Path, writer: Audit) -> None:
    path = tmp_path / "audit.jsonl"
    write(writer, 10)
    content = b""
    for at, piece in enumerate(pieces(path)):
        content += piece.content
        if at < COUNT:
            write(writer, 1)
    assert content == whole(path)
    last = list(pieces(path))[-1]
    write(writer, 1)
    [more] = list(pieces(path, last.next))[-1:]
    assert b'"number": 0' in b"".join(piece.content for piece in pieces(path, last.next))
    assert more.ended


def test_an_end_that_was_reached_before_the_first_line_is_gone_on_from(
    tmp_path: Path, writer: Audit
) -> None:
    path = tmp_path / "audit.jsonl"
    [empty] = pieces(path)
    assert (empty.content, empty.ended) == (b"", True)
    write(writer, 1)
    assert b"".join(piece.content for piece in pieces(path, empty.next)) == whole(path)


def test_a_place_in_a_file_that_was_dropped_is_refused(tmp_path: Path, writer: Audit) -> None:
    path = tmp_path / "audit.jsonl"
    write(writer, 1)
    first = audit_piece(path, "known", "")
    write(writer, 10 * COUNT)
    with pytest.raises(FileNotFoundError):
        audit_piece(path, "known", first.next)


@pytest.mark.parametrize("after", ["x", "1:-1", ":", "..:0x1"])
def test_what_is_no_place_is_refused(tmp_path: Path, writer: Audit, after: str) -> None:
    write(writer, 1)
    with pytest.raises(ValueError, match=r".+"):
        audit_piece(tmp_path / "audit.jsonl", "known", after)


async def _replicas() -> dict[str, list[str]]:
    return {}


async def test_only_llmops_own_key_opens_them(gate: Gate) -> None:
    app: Any = Ops(gate.app, None, VERSIONS, _replicas, gate.audit_file)
    gate.audit.write(key_id="k", service="tiny")
    own = ("x-api-key", gate.operator_key)
    refused: list[list[tuple[str, str]]] = [
        [], [("x-api-key", gate.key)], [("x-api-key", "")], [own, own],
        [("authorization", f"Bearer {gate.operator_key}")],
    ]  # fmt: skip
    for headers in refused:
        reply = await ask(app, "GET", "/audit?callers=known", headers=headers)
        assert (reply.status, b"key_id" in reply.body) == (401, False), headers
    reply = await ask(app, "GET", "/audit?callers=known", headers=[own])
    assert (reply.status, b'"key_id": "k"' in reply.body) == (200, True)
    assert gate.operator_key not in reply.body.decode()
    for wrong in ("callers=others", "callers=known&after=1:x", ""):
        assert (await ask(app, "GET", f"/audit?{wrong}", headers=[own])).status == 400
    gone = await ask(app, "GET", "/audit?callers=known&after=0:0", headers=[own])
    assert gone.status == 410


async def test_a_gateway_of_several_services_hands_none_out(gate: Gate) -> None:
    gate.audit.write(key_id="k", service="tiny")
    scraped: list[str] = []

    async def metrics(scope: Any, receive: Any, send: Any) -> None:
        scraped.append(scope["path"])

    app: Any = Ops(gate.app, metrics, VERSIONS, _replicas)
    own = [("x-api-key", gate.operator_key)]
    await ask(app, "GET", "/audit?callers=known", headers=own)
    assert scraped == ["/audit"]
