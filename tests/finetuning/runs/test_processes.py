"""Programs of a run: ended from the top, with all theirs, and those of no other run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from serving.finetune.runs import processes
from tests.finetuning.runs.conftest import marked, until

PARENT = """
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", sys.argv[2], sys.argv[1]])
folder = pathlib.Path(sys.argv[1])
def stop(*_):
    (folder / "told").write_text("parent")
    child.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
(folder / "parent").touch()
time.sleep(600)
"""
CHILD = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (folder / "child-was-told").touch())
(folder / "child").touch()
while True:
    time.sleep(1)
"""


def _start(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    command = [sys.executable, "-S", "-c", PARENT, str(folder), CHILD]
    started = processes.start(command, folder, folder / "log", dict(os.environ))
    for name in ("parent", "child"):
        until((folder / name).exists, f"there is no {name}")
    return started


def test_the_one_at_the_top_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    started, stranger = _start(one), _start(other)
    try:
        assert len(marked(one)) == 2
        processes.end_family(one, kindly=60)
        assert (one / "told").exists()
        assert not (one / "child-was-told").exists()
        assert marked(one) == []
        assert len(marked(other)) == 2, "another run's programs were ended"
    finally:
        processes.end_family(other, kindly=10)
        for process in (started, stranger):
            process.kill()
            process.wait()


def test_who_does_not_listen_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    started = _start(folder)
    [child] = [pid for pid in marked(folder) if pid != started.pid]
    started.kill()
    started.wait()
    assert marked(folder) == [child]
    processes.end_family(folder, kindly=0.1)
    assert marked(folder) == []
