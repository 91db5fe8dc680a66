"""The end: nothing is left but history and caches."""

from __future__ import annotations

import psutil

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage


def test_destroy_leaves_no_process_port_or_directory(stage: Stage, service: Service) -> None:
    for name in ("demo", service.name):
        known = stage.run("history", name)
        if known.code == 0:
            done = stage.run("destroy", name, "--yes")
            assert done.code == 0, done.text
    assert stage.processes() == []
    ports = {
        c.laddr.port for c in psutil.net_connections("inet") if c.laddr and c.status == "LISTEN"
    }
    assert stage.port not in ports
    assert not (stage.home / "logs" / service.name).exists()
    assert stage.run("history", service.name).code == 0
