"""Audit lines of one service, over all files and as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.gateway import Audit
from serving.local.audit import lines


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.audit.MAX_BYTES", 1000)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    made = Audit(tmp_path / "audit.jsonl")
    yield made
    made.close()


def put(audit: Audit, *numbers: int, service: str = "tiny") -> None:
    for number in numbers:
        audit.write(key_id="k", service=service, number=number)


def numbers(found: list[str]) -> list[int]:
    return [json.loads(line)["number"] for line in found]


def test_lines_of_a_service_are_those_of_all_files_in_their_order(
    tmp_path: Path, audit: Audit
) -> None:
    for number in range(12):
        put(audit, number)
        put(audit, 100 + number, service="other")
    assert len(list(tmp_path.glob("audit.jsonl.*"))) > 2, "no file was turned over"
    kept = numbers(list(lines(tmp_path / "audit.jsonl", "tiny", follow=False)))
    assert kept == list(range(kept[0], 12))
    others = numbers(list(lines(tmp_path / "audit.jsonl", "other", follow=False)))
    assert others[-1] == 111


def test_strangers_and_lines_without_a_service_are_not_among_them(
    tmp_path: Path, audit: Audit
) -> None:
    audit.write(reason="invalid_api_key")
    audit.write(key_id="k", reason="x")
    put(audit, 1)
    (tmp_path / "audit.jsonl").open("a").write("no JSON\n[1]\n")
    assert numbers(list(lines(tmp_path / "audit.jsonl", "tiny", follow=False))) == [1]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert list(lines(tmp_path / "audit.jsonl", "tiny", follow=False)) == []


class Enough(Exception):
    pass


def follow(path: Path, *turns: object) -> list[int]:
    """What a follower has got when all `turns`, one for each of its waits, were taken."""
    left = list(turns)
    found: list[str] = []

    def pause(seconds: float) -> None:
        if not left:
            raise Enough
        turn = left.pop(0)
        assert callable(turn)
        turn()

    with pytest.raises(Enough):
        found.extend(lines(path, "tiny", follow=True, pause=pause))
    return numbers(found)


def test_what_comes_is_told_also_over_files_that_are_turned_over(
    tmp_path: Path, audit: Audit
) -> None:
    put(audit, 0, 1)
    turns = [lambda n=n: put(audit, n) for n in range(2, 20)]
    assert follow(tmp_path / "audit.jsonl", *turns) == list(range(20))
    assert len(list(tmp_path.glob("audit.jsonl.*"))) > 2, "no file was turned over"


def test_a_log_that_begins_later_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    made: list[Audit] = []

    def begin() -> None:
        made.append(Audit(path))
        put(made[0], 1)

    assert follow(path, lambda: None, begin, lambda: put(made[0], 2)) == [1, 2]
    made[0].close()


def test_half_a_line_is_told_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()

    def add(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    turns = (
        lambda: add('{"service": "tiny", '),
        lambda: add('"number": 5}'),
        lambda: add("\n"),
    )
    assert follow(path, *turns) == [5]
