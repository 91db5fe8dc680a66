"""The end: nothing is left but history and caches."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage

SEGMENTS = Path("/dev/shm")


def segments(stage: Stage) -> set[str]:
    """Names of the shared memory that is mapped by what runs here."""
    maps = "".join(Path(f"/proc/{one.pid}/maps").read_text() for one in stage.processes())
    return {one.name for one in SEGMENTS.iterdir() if str(one) in maps}


def test_destroy_leaves_no_process_port_or_directory(stage: Stage, service: Service) -> None:
    shared = segments(stage)
    assert shared, "the engine shares no memory with its workers any more"
    for name in ("demo", service.name):
        known = stage.run("history", name)
        if known.code == 0:
            done = stage.run("destroy", name, "--yes")
            assert done.code == 0, done.text
    assert stage.processes() == []
    assert not shared & {one.name for one in SEGMENTS.iterdir()}
    ports = {
        c.laddr.port for c in psutil.net_connections("inet") if c.laddr and c.status == "LISTEN"
    }
    assert stage.port not in ports
    assert not (stage.home / "logs" / service.name).exists()
    assert stage.run("history", service.name).code == 0
