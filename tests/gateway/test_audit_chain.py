"""Audit lines as a chain: whatever somebody does to the files afterwards is found, and where."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway import Audit, verify_audit
from serving.gateway.chain import GENESIS, Anchor, Report, forge, read_link
from tests.gateway.conftest import MakesGate

COUNT = 14


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.audit.MAX_BYTES", 1200)


class Log:
    """A chain over several files, to be tampered with."""

    def __init__(self, home: Path, count: int = COUNT) -> None:
        self.path = home / "audit.jsonl"
        audit = Audit(self.path)
        for number in range(count):
            audit.write(key_id="k", key="team-a", number=number)
        self.told = audit.anchors()
        audit.close()

    @property
    def anchor(self) -> Path:
        return self.path.with_name("audit.anchor.json")

    def files(self) -> list[Path]:
        """Oldest first."""
        older = sorted(self.path.parent.glob("audit.jsonl.*"), reverse=True)
        return [*older, self.path]

    def lines(self) -> list[tuple[Path, int, bytes]]:
        """Every line with its file and its number there."""
        return [
            (file, number, line)
            for file in self.files()
            for number, line in enumerate(file.read_bytes().splitlines(keepends=True), 1)
        ]

    def put(self, lines: list[tuple[Path, bytes]]) -> None:
        for file in self.files():
            file.write_bytes(b"".join(line for where, line in lines if where == file))

    def edit(self, change: Callable[[list[tuple[Path, bytes]]], None]) -> None:
        lines = [(file, line) for file, _, line in self.lines()]
        change(lines)
        self.put(lines)

    def report(self, *, told: bool = False) -> Report:
        return verify_audit(self.path, self.told if told else None)["known"]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@contextlib.contextmanager
def new_log() -> Iterator[Log]:
    with tempfile.TemporaryDirectory() as home:
        yield Log(Path(home))


def where(report: Report) -> list[tuple[str, int]]:
    return [(fault.file, fault.line) for fault in report.faults]


LINES = st.integers(0, COUNT - 1)


def test_what_nobody_touched_is_whole(log: Log) -> None:
    assert len(log.files()) > 2, "no file was turned over"
    report = log.report(told=True)
    assert (report.faults, report.verified, report.first, report.last) == ([], COUNT, 1, COUNT)


def test_each_line_names_the_one_before(log: Log) -> None:
    before = GENESIS
    for number, (_, _, line) in enumerate(log.lines(), 1):
        document = json.loads(line)
        assert (document["seq"], document["prev"]) == (number, before)
        before = document["hash"]


@given(line=LINES, at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_where_it_is(line: int, at: int, bit: int) -> None:
    with new_log() as log:
        file, number, text = log.lines()[line]
        changed = bytearray(text[:-1])
        changed[at % len(changed)] ^= 1 << bit
        if b"\n" in changed:  # then it is two lines, neither of the chain
            changed = changed.replace(b"\n", b"?")
        log.edit(lambda lines: lines.__setitem__(line, (file, bytes(changed) + b"\n")))
        assert (file.name, number) in near(log, line, log.report())


def near(log: Log, line: int, report: Report) -> set[tuple[str, int]]:
    """Places that the faults name; one at the next line counts for a line that cannot be read,
    as it is where the chain is seen to be broken."""
    found = set(where(report))
    all_lines = log.lines()
    if line + 1 < len(all_lines):
        file, number, _ = all_lines[line + 1]
        if (file.name, number) in found and read_link(all_lines[line][2][:-1]) is None:
            found.add((all_lines[line][0].name, all_lines[line][1]))
    return found


@given(line=LINES, number=st.integers(100, 999))
def test_a_field_that_was_changed_is_found(line: int, number: int) -> None:
    with new_log() as log:
        file, at, text = log.lines()[line]
        changed = re.sub(rb'"number": \d+', b'"number": %d' % number, text)
        log.edit(lambda lines: lines.__setitem__(line, (file, changed)))
        report = log.report()
        assert where(report) == [(file.name, at)]
        assert "was edited" in report.faults[0].message


@given(line=LINES, number=st.integers(100, 999))
def test_a_line_that_was_forged_with_its_hash_is_found(line: int, number: int) -> None:
    with new_log() as log:
        file, _, text = log.lines()[line]
        old = json.loads(text)
        fields = {"time": old["time"], "key_id": "k", "number": number}
        made, _ = forge(fields, Anchor(old["seq"] - 1, old["prev"], 1))
        log.edit(lambda lines: lines.__setitem__(line, (file, made + b"\n")))
        assert log.report().faults, "a forged line passed"


@given(first=LINES, count=st.integers(1, COUNT))
def test_missing_lines_are_found(first: int, count: int) -> None:
    with new_log() as log:
        gone = len(log.lines()[first : first + count])
        log.edit(lambda lines: lines.__delitem__(slice(first, first + count)))
        report = log.report()
        said = f"line {first + 1} is" if gone == 1 else f"lines {first + 1} to {first + gone} are"
        [fault] = report.faults
        assert said in fault.message
        assert report.verified >= COUNT - gone - 1


@given(line=LINES, at=st.integers(0, COUNT), text=st.none() | st.binary(max_size=60))
def test_a_line_that_was_put_in_is_found_where_it_is(
    line: int, at: int, text: bytes | None
) -> None:
    with new_log() as log:
        lines = log.lines()
        inserted = lines[line][2] if text is None else text.replace(b"\n", b" ") + b"\n"
        file = lines[min(at, COUNT - 1)][0]
        log.edit(lambda some: some.insert(at, (file, inserted)))
        after = log.lines()
        places = {(after[i][0].name, after[i][1]) for i in (at, at + 1) if i < len(after)}
        assert places & set(where(log.report()))


@given(st.permutations(range(COUNT)))
def test_lines_in_another_order_are_found(order: list[int]) -> None:
    with new_log() as log:
        files = [file for file, _, _ in log.lines()]
        texts = [line for _, _, line in log.lines()]
        log.put([(file, texts[index]) for file, index in zip(files, order, strict=True)])
        moved = [index for index, now in enumerate(order) if index != now]
        report = log.report()
        assert bool(report.faults) == bool(moved)


@given(left=st.integers(0, COUNT - 1))
def test_a_cut_end_is_found(left: int) -> None:
    with new_log() as log:
        log.edit(lambda lines: lines.__delitem__(slice(left, None)))
        [fault] = log.report().faults
        assert f"{COUNT} " in fault.message
        assert "missing at the end" in fault.message


def test_a_cut_end_is_found_though_the_anchor_was_put_back_by_what_the_gateway_knows(
    log: Log,
) -> None:
    last = json.loads(log.lines()[9][2])
    log.edit(lambda lines: lines.__delitem__(slice(10, None)))
    log.anchor.write_bytes(Anchor(10, last["hash"], 1).dump())
    assert log.report().faults == [], "nothing but the gateway can know"
    [fault] = log.report(told=True).faults
    assert f"lines 11 to {COUNT} are missing at the end" in fault.message


def test_a_chain_that_was_made_anew_as_a_whole_is_found_by_what_the_gateway_knows(
    log: Log,
) -> None:
    anchor = Anchor()
    lines = []
    for file, _, line in log.lines():
        text, anchor = forge({"number": json.loads(line)["number"] + 1}, anchor)
        lines.append((file, text + b"\n"))
    log.put(lines)
    [fault] = log.report().faults
    assert "was replaced" in fault.message
    log.anchor.write_bytes(anchor.dump())
    assert log.report().faults == []
    assert "was replaced" in log.report(told=True).faults[0].message


def test_a_removed_anchor_is_found(log: Log) -> None:
    log.anchor.unlink()
    assert where(log.report()) == [("audit.jsonl", 0)]
    log.anchor.write_text("{}")
    assert where(log.report()) == [("audit.jsonl", 0)]


def test_a_removed_file_is_found(log: Log) -> None:
    files = log.files()
    kept = files[0].read_bytes()
    files[0].unlink()
    [fault] = log.report().faults
    assert "missing before this one" in fault.message
    files[0].write_bytes(kept)
    files[1].unlink()
    assert len(log.report().faults) == 1
    for file in log.files():
        file.unlink(missing_ok=True)
    [fault] = log.report().faults
    assert f"lines 1 to {COUNT} are missing at the end" in fault.message


def test_files_that_retention_dropped_are_no_fault(tmp_path: Path) -> None:
    log = Log(tmp_path, 60)
    report = log.report(told=True)
    assert report.faults == []
    assert report.first > 1, "nothing was dropped"
    assert (report.last, report.verified) == (60, 60 - report.first + 1)
    log.files()[0].unlink()
    assert len(log.report().faults) == 1


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(9):
        audit = Audit(path)
        audit.write(key_id="k", number=number)
        audit.close()
    report = verify_audit(path)["known"]
    assert (report.faults, report.verified) == ([], 9)


def test_two_gateways_in_turn_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    first, second = Audit(path), Audit(path)
    for number in range(20):
        (first if number % 3 else second).write(key_id="k", number=number)
    report = verify_audit(path, second.anchors())["known"]
    first.close()
    second.close()
    assert (report.faults, report.verified) == ([], 20)


def test_a_crash_between_a_line_and_its_anchor_breaks_nothing(log: Log) -> None:
    last = json.loads(log.lines()[-2][2])
    log.anchor.write_bytes(Anchor(last["seq"], last["hash"], 1).dump())
    assert log.report().faults == []
    audit = Audit(log.path)
    audit.write(key_id="k")
    audit.close()
    report = log.report()
    assert (report.faults, report.verified) == ([], COUNT + 1)


@given(cut=st.integers(1, 60))
def test_half_a_line_that_a_crash_left_is_taken_back(cut: int) -> None:
    with new_log() as log:
        last = log.lines()[-1][2]
        text = log.path.read_bytes()
        before = json.loads(log.lines()[-2][2])
        log.anchor.write_bytes(Anchor(before["seq"], before["hash"], 1).dump())
        log.path.write_bytes(text[: len(text) - len(last)] + last[:cut])
        audit = Audit(log.path)
        audit.write(key_id="k")
        audit.close()
        report = log.report()
        assert (report.faults, report.verified) == ([], COUNT)


def test_a_gap_stays_seen_after_the_gateway_has_gone_on(log: Log) -> None:
    log.edit(lambda lines: lines.__delitem__(slice(10, None)))
    audit = Audit(log.path)
    audit.write(key_id="k")
    audit.close()
    [fault] = log.report().faults
    assert f"lines 11 to {COUNT} are missing" in fault.message


def test_lines_that_were_put_in_while_no_gateway_ran_stay_seen(log: Log) -> None:
    anchor = Anchor.parse(log.anchor.read_bytes())
    with log.path.open("ab") as file:
        for number in range(3):
            text, anchor = forge({"number": number}, anchor)
            file.write(text + b"\n")
    assert "not known to the anchor" in log.report().faults[0].message
    audit = Audit(log.path)
    audit.write(key_id="k")
    audit.close()
    assert "which the anchor did not know" in log.report().faults[0].message


def test_a_gateway_that_found_no_anchor_says_so_for_good(log: Log) -> None:
    log.anchor.unlink()
    audit = Audit(log.path)
    audit.write(key_id="k")
    audit.write(key_id="k")
    audit.close()
    [fault] = log.report().faults
    assert "no anchor beside it" in fault.message


def test_what_is_cut_while_the_gateway_runs_leaves_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    for _ in range(3):
        audit.write(key_id="k")
    anchor = path.with_name("audit.anchor.json")
    anchor.write_bytes(Anchor(0, GENESIS, 1).dump())
    path.unlink()
    audit.write(key_id="k")
    report = verify_audit(path, audit.anchors())["known"]
    audit.close()
    assert any("lines 1 to 3 are missing" in fault.message for fault in report.faults)
    assert any("changed by somebody else" in fault.message for fault in report.faults)


def test_lines_from_before_there_was_a_chain_are_counted_and_bound(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(mode=0o600)
    path.write_text('{"key_id": "old"}\n' * 2)
    audit = Audit(path)
    audit.write(key_id="k")
    audit.close()
    report = verify_audit(path)["known"]
    assert (report.faults, report.older, report.verified) == ([], 2, 1)
    path.write_text(path.read_text().replace('"old"', '"new"', 1))
    [fault] = verify_audit(path)["known"].faults
    assert fault.line == 3


@pytest.mark.parametrize("count", [1, 90])
def test_a_chain_begins_also_where_the_file_before_it_is_full(tmp_path: Path, count: int) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(mode=0o600)
    path.write_text('{"key_id": "old"}\n' * count)
    for number in range(1, 8):
        audit = Audit(path)
        for _ in range(5):
            audit.write(key_id="k")
        audit.close()
        report = verify_audit(path)["known"]
        assert (report.faults, report.last) == ([], 5 * number)
    assert report.older == 0, "what was before the chain was not dropped with its file"


def test_a_chain_begins_in_an_empty_file_beside_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.with_name("audit.jsonl.1").write_text('{"key_id": "old"}\n')
    audit = Audit(path)
    audit.write(key_id="k")
    audit.close()
    report = verify_audit(path)["known"]
    assert (report.faults, report.older, report.verified) == ([], 1, 1)


def test_a_full_disk_loses_lines_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.write(key_id="k")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, content[:20]))
    audit.write(key_id="k")
    audit.write(key_id="k")
    monkeypatch.setattr(os, "write", real)
    audit.write(key_id="k")
    audit.close()
    report = verify_audit(path)["known"]
    assert (report.faults, report.verified) == ([], 2)
    assert json.loads(path.read_text().splitlines()[-1])["lost"] == 2


def test_a_file_that_went_though_none_could_be_made_is_no_fault(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    audit = Audit(log.path)
    for _ in range(40):  # so many that the oldest file goes at each turn
        audit.write(key_id="k")
    with monkeypatch.context() as patch:
        patch.setattr("serving.gateway.chain_file.private_open", none_left)
        for _ in range(10):
            audit.write(key_id="k")
    lost = audit.lost()
    audit.write(key_id="k")
    audit.close()
    report = log.report()
    assert lost > 0, "the fault did not land"
    assert (report.faults, report.lost) == ([], lost)


def test_a_line_whose_anchor_cannot_be_written_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a full disk would be taken for somebody who has put it in."""
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.write(key_id="k")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        for _ in range(3):
            audit.write(key_id="k")
        report = verify_audit(path, audit.anchors())["known"]
        assert (report.faults, report.verified) == ([], 1)
    audit.write(key_id="k")
    audit.close()
    report = verify_audit(path)["known"]
    assert (report.faults, report.verified, report.lost) == ([], 2, 3)


async def test_the_gateways_state_tells_how_far_its_chains_have_come(
    make_gate: MakesGate,
) -> None:
    gate = make_gate()
    await gate.complete()
    await gate.complete(key="")
    told = gate.app.state()["audit"]
    assert {kind: anchor["seq"] for kind, anchor in told.items()} == {"known": 1, "unknown": 1}
    for report in verify_audit(gate.audit_file, told).values():
        assert (report.faults, report.verified) == ([], 1)
