"""Logs of months: none grows without end, and whoever follows one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.gateway import Audit
from serving.gateway.audit import BACKUPS
from serving.local.logs import lines
from serving.runtime.housekeeping import turn_over
from serving.runtime.launcher import environment
from serving.runtime.paths import RuntimePaths

MOST = 10_000
WRITES = """
import sys
for number in range(2000):
    print(f"{number:06d} " + "x" * 40, flush=True)
    if number % 200 == 199:
        sys.stdin.readline()
"""


def test_a_log_that_its_writer_keeps_open_is_turned_over_under_it(tmp_path: Path) -> None:
    log = tmp_path / "chat" / "r1" / "engine.log"
    log.parent.mkdir(parents=True)
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-c", WRITES], stdin=subprocess.PIPE, stdout=output, text=True
        ) as writer,
    ):
        assert writer.stdin is not None
        largest = 0
        for _ in range(10):
            writer.stdin.write("\n")
            writer.stdin.flush()
            turn_over(tmp_path.rglob("*.log"), MOST)
            largest = max(largest, log.stat().st_size)
        writer.wait(60)
    turn_over(tmp_path.rglob("*.log"), MOST)
    older = log.with_name("engine.log.1")
    assert "001999" in (log.read_text() + older.read_text()), "its writer went on elsewhere"
    assert log.stat().st_size <= MOST
    assert older.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in log.parent.iterdir()) == ["engine.log", "engine.log.1"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(bytes(2 * MOST))
    (tmp_path / "engine.log").symlink_to(tmp_path / "precious")
    turn_over(tmp_path.rglob("*.log"), MOST)
    assert (tmp_path / "precious").stat().st_size == 2 * MOST


def test_who_follows_a_log_goes_on_in_it_once_it_was_turned_over(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("before\n" * 3)
    moves: Iterator[Callable[[], object]] = iter(
        [lambda: turn_over([log], 1), lambda: log.write_text("after\n"), log.unlink]
    )

    def pause(_: float) -> None:
        next(moves)()

    followed = list(lines(log, follow=True, pause=pause))
    assert followed == ["before"] * 3 + ["after"]


def test_the_audit_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.audit.MAX_BYTES", MOST)
    audit = Audit(tmp_path / "audit.jsonl")
    for number in range(1000):
        audit.write(key_id="k", number=number)
    audit.close()
    files = list(tmp_path.glob("audit.jsonl*"))
    assert sum(file.stat().st_size for file in files) <= MOST * (BACKUPS + 1)
    assert json.loads((tmp_path / "audit.jsonl").read_text().splitlines()[-1])["number"] == 999


def test_rays_own_logs_are_bounded(tmp_path: Path) -> None:
    made = environment(RuntimePaths(tmp_path), {})
    files = int(made["RAY_ROTATION_BACKUP_COUNT"]) + 1
    assert int(made["RAY_ROTATION_MAX_BYTES"]) * files <= 48 * 2**20
