"""Management controllers that listen, and the cluster file that leads to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bare_metal.bmc import Controller, Found, gather, open_controllers
from bare_metal.inventory import Cluster, hosts_of, parse_cluster
from tests.bare_metal.controllers import ADDRESSES, Fake, certificates, served

FILE = """\
kind: Cluster
name: alpha
units: [{{name: su, hosts: {hosts}, addresses: 10.0.0.1, bmc_addresses: 127.77.0.1}}]
bmc: {{user: ops, password: 'env:BMC_PASSWORD', port: {port}{more}}}
"""


@dataclass
class Scene:
    """Controllers, and the cluster file that leads to them."""

    folder: Path
    fakes: list[Fake]
    port: int
    more: str = ", ca: ca.pem"

    @property
    def fake(self) -> Fake:
        return self.fakes[0]

    @property
    def text(self) -> str:
        return FILE.format(hosts=len(self.fakes), port=self.port, more=self.more)

    @property
    def cluster(self) -> Cluster:
        return parse_cluster(self.text).value

    def ask(
        self, *parts: Any, seconds: float = 60.0, system: str | None = None
    ) -> dict[str, Found]:
        by = open_controllers(self.cluster, self.folder)
        hosts = hosts_of(self.cluster)
        return gather(hosts, by, system=system, parts=parts, seconds=seconds)

    def one(self, *parts: Any) -> Controller:
        found = self.ask(*parts)["su-001"]
        assert isinstance(found, Controller), found
        return found


@contextmanager
def staged(hosts: int, folder: Path) -> Iterator[Scene]:
    """So many controllers, whose authority's certificate lies in a folder."""
    fakes = [Fake(address) for address in ADDRESSES[:hosts]]
    with served(fakes, certificates(folder)) as port:
        yield Scene(folder, fakes, port)
