"""Starting the host's process: what becomes of one that does not come up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from llmops.errors import TargetError
from llmops.events import Flow
from serving.local import members
from serving.local.members import Members
from serving.local.runtime import Runtime
from serving.local.store import FileReleaseStore
from serving.runtime import launcher
from serving.runtime.launcher import ensure_host, environment
from serving.runtime.paths import RuntimePaths

STUCK = "import time; time.sleep(600)"
ENDS = "print('the reason why')"


@pytest.mark.parametrize(
    ("program", "said"),
    [(STUCK, "it was not up after 1 s"), (ENDS, "did not start: the reason why")],
    ids=["stuck", "ends"],
)
def test_a_host_that_does_not_come_up_leaves_nothing(
    program: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could come up later, when nobody waits for it any more."""
    paths, started = RuntimePaths(tmp_path), []

    def spawn(paths: RuntimePaths, *_: object) -> subprocess.Popen[bytes]:
        with paths.host_log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", program], stdout=log, start_new_session=True,
                env=environment(paths, dict(os.environ)),
            )  # fmt: skip
        started.append(process)
        return process

    monkeypatch.setattr(launcher, "_spawn", spawn)
    monkeypatch.setattr(launcher, "START_DEADLINE", 1.0)
    try:
        with pytest.raises(TargetError, match=said):
            list(ensure_host(paths, "127.0.0.1", 0))
        assert not psutil.pid_exists(started[0].pid)
        assert not paths.sockets.exists()
    finally:
        started[0].kill()
        started[0].wait()


def test_a_service_that_goes_while_a_host_starts_takes_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed command has written down its release, which nobody can see on a host that is not
    up: it would come up later, and stay."""
    store, ended = FileReleaseStore(tmp_path / "releases"), []

    def stop(paths: RuntimePaths) -> Flow[None]:
        ended.append(paths)
        yield from ()

    monkeypatch.setattr(launcher, "stop_host", stop)
    runtime = Runtime(tmp_path, store, lambda: "1")
    members.write(tmp_path / "members.json", Members({("mine", 1): 0, ("theirs", 2): 100}, 7))
    list(runtime.forget("mine"))
    assert (runtime.members().shares, ended) == ({("theirs", 2): 100}, [])
    list(runtime.forget("mine"))
    assert runtime.members().generation == 8, "written again for nothing"
    list(runtime.forget("theirs"))
    assert (runtime.members().shares, ended) == ({}, [runtime.paths])
