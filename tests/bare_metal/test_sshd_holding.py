"""Two commands at once over a real sshd: one works, the other is told; the dead hold nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from bare_metal.hosts import compare_keys
from bare_metal.hosts.connection import connector, held, pin
from bare_metal.inventory import hosts_of, read_cluster
from llmops.errors import BusyError
from tests.bare_metal import sshd
from tests.bare_metal.test_holding import WITHIN, change

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(sshd.missing()), reason=f"needs {', '.join(sshd.missing())}"),
]


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Site]:
    with sshd.site(tmp_path_factory.mktemp("hosts"), 2) as made:
        made.declare("{time: chrony}")
        yield made


def test_the_loser_is_told_who_works_there_and_the_dead_are_in_nobodys_way(
    site: sshd.Site,
) -> None:
    cluster = read_cluster([site.folder / "cluster.yaml"]).value
    hosts, by = hosts_of(cluster), connector(cluster, site.folder)
    known = site.folder / "known_hosts"
    pin(known, compare_keys(hosts, cluster.access, known).to_pin)
    gates = [host.state / "gate" for host in site.hosts]
    for gate in gates:
        gate.touch()
    command = site.start("hosts", "prepare", "--yes")
    try:
        sshd.wait_for([gate.with_name("reached") for gate in gates], command)
        began = time.monotonic()
        change(by, hosts[0])
        bare = time.monotonic() - began  # what a busy machine needs to reach a host at all
        began = time.monotonic()
        with pytest.raises(BusyError) as busy, held(hosts, by, "prepared"):
            raise AssertionError("two hold the same hosts")
        told = time.monotonic() - began
        print(f"told after {told:.2f} s, a connection takes {bare:.2f}: {busy.value.message}")
        assert told < WITHIN + bare
        assert f"h-001 is being prepared by pid {command.pid} (" in busy.value.message
        os.kill(command.pid, signal.SIGKILL)
        print(f"killed {command.pid} while it changed {len(hosts)} hosts")
        command.wait()
        with held(hosts, by, "prepared") as way:
            change(way, hosts[0])
            change(way, hosts[1])
    finally:
        for gate in gates:
            gate.unlink()
        command.kill()
        command.communicate()
