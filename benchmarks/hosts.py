"""Facts of 64 hosts at once, beside those of one.

`python -m benchmarks.hosts [ROUNDS] [HOSTS]`: in each round the facts of one host, the same again
(A/A), and those of all hosts, over SSH. Each host is an sshd of its own on a loopback address, and
all of them are this one machine: so the processors that answer are shared by all, the ratio grows
with the hosts as it would not on 64 machines, and no network is between. A home without files, so
that no shell's start-up file of this machine is measured.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bare_metal.hosts import compare_keys
from bare_metal.hosts.connection import Connector, Unreachable, connector, pin
from bare_metal.hosts.facts import gather
from bare_metal.inventory import Placed, hosts_of, parse_cluster
from tests.bare_metal.sshd import NETWORK, free_port, keygen

CONFIG = """\
ListenAddress {address}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
SetEnv HOME={folder}
"""


@contextmanager
def _sshd(folder: Path, address: str, port: int) -> Iterator[None]:
    config = folder / f"{address}.conf"
    config.write_text(CONFIG.format(address=address, port=port, folder=folder))
    process = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _seconds(hosts: Sequence[Placed], by: Connector) -> float:
    began = time.perf_counter()
    found = gather(hosts, by)
    took = time.perf_counter() - began
    lost = [one.reason for one in found.values() if isinstance(one, Unreachable)]
    if lost:
        print(f"lost: {len(lost)} of {len(hosts)} hosts did not answer: {lost[0]}")
    return took


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def main(rounds: int, count: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        Path("/run/sshd").mkdir(exist_ok=True)
        keygen(folder / "host_key")
        keygen(folder / "key")
        cluster = parse_cluster(
            "kind: Cluster\nname: lab\nfabric: {radix: 256}\nhcas: [{device: mlx5_0, rail: 1}]\n"
            f"access: {{port: {port}, key: 'file:key'}}\n"
            f"units: [{{name: h, hosts: {count}, addresses: {NETWORK}.2}}]\n"
        ).value
        hosts = hosts_of(cluster)
        for host in hosts:
            stack.enter_context(_sshd(folder, host.address, port))
        time.sleep(1)
        seen = compare_keys(hosts, cluster.access, folder / "known_hosts")
        pin(folder / "known_hosts", seen.to_pin)
        by = connector(cluster, folder)
        taken: dict[str, list[float]] = {"one host": [], "one host again": [], f"{count} hosts": []}
        for _ in range(rounds):
            for label, some in zip(taken, (hosts[:1], hosts[:1], hosts), strict=True):
                taken[label].append(_seconds(some, by))
    for label, values in taken.items():
        print(f"{label}: {_spread(values)}")
    one, again, many = (statistics.median(values) for values in taken.values())
    load = os.getloadavg()[0]
    print(f"A/A {again / one:.2f}; {count} hosts / one host {many / one:.2f}; load {load:.1f}")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:3]]
    main(*(numbers + [5, 64][len(numbers) :]))
