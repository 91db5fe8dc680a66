"""What may stand in `cluster.yaml`: which hosts there are, and how their fabric is built.

A compact form says most of it in a line: so many scalable units of so many hosts. Hosts that are
named, or stand in a rack of their own, are written out beside it. Every field is documented by the
docstring right below it. Nothing here reads a file, counts ports or wires anything: see `document`,
`contradictions` and `bare_metal.fabric`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bare_metal.inventory.roce import Roce, SwitchPorts
from bare_metal.inventory.system import System
from bare_metal.inventory.words import (
    Account,
    Address,
    Device,
    HostName,
    Interface,
    LocalPath,
    Pci,
    RackName,
    Secret,
)
from llmops.spec import Between, Form, Name, Section
from llmops.units import Duration

Tuple = Field(strict=False)

Hourly = Annotated[float, Field(ge=0, le=10_000)]
Link = Literal[
    "4xEDR", "4xHDR", "4xNDR", "4xXDR",
    "10GbE", "25GbE", "40GbE", "50GbE", "100GbE", "200GbE", "400GbE", "800GbE",
]  # fmt: skip


class Hca(Section):
    """An RDMA adapter that every host has."""

    device: Device
    """Its name on the host, such as `mlx5_0`. With the host's name it is what the fabric knows it
    by: `su1-001 mlx5_0`."""

    use: Literal["compute", "storage"] = "compute"
    """`compute` adapters are wired to the leaf of their rail. `storage` adapters belong to another
    fabric, and are left out of this one and of all labels."""

    rail: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of the rail that it is on, from 1; each compute adapter of a host needs one of its
    own. An adapter and the GPU beside it share a rail through the whole cluster."""

    pci: Pci | None = None
    """PCI address, the same in every host."""

    interface: Interface | None = None
    """With `fabric.kind: roce`, the name of its network interface, such as `ens1f0np0`. Left out of
    all adapters, it is what each host says that it is."""


class Nic(Section):
    """A network card that every host has."""

    device: Interface
    """Its name on the host, such as `eno1`."""

    use: Literal["management", "data"] = "data"
    """`management` is the one that hosts are reached by: nothing that llmops does restarts it or
    its driver. One is named so where any is written."""

    pci: Pci | None = None
    """PCI address, the same in every host."""


class Gpus(Section):
    """The GPUs that every host has."""

    kind: Annotated[str, Form("the name of an accelerator, such as H100-SXM")]
    """Which they are, as `llmops catalog list --kind accelerators` names them."""

    count: Annotated[int, Field(ge=1, le=16)] = 8
    """How many of them a host has."""


class Access(Section):
    """How hosts are reached: by SSH, with keys only."""

    user: Account = "root"
    """Account to log in as."""

    sudo: bool = False
    """Whether commands are run by `sudo -n`, for a `user` that is not root."""

    port: Annotated[int, Field(ge=1, le=65535)] = 22
    """Port of the hosts' SSH."""

    key: Secret | None = None
    """Private key, by reference: `file:PATH`, or `env:NAME` for a variable that holds the key
    itself. Left out, those of your SSH agent and of `~/.ssh` are offered."""

    known_hosts: Annotated[str, Field(min_length=1, max_length=200)] = "known_hosts"
    """File with the hosts' own keys, as `llmops cluster hosts pin` writes it; a relative path
    begins at the cluster file. A host that is not in it, or shows another key, is not talked to."""


class Bmc(Section):
    """How the hosts' management controllers (BMC) are reached."""

    user: Annotated[str, Field(min_length=1, max_length=64)] = "admin"
    """Account to log in as."""

    password: Secret | None = None
    """Its password, by reference: `env:NAME` or `file:PATH`. A password itself is refused."""

    port: Annotated[int, Field(ge=1, le=65535)] = 443
    """Port of the controllers' Redfish, which is spoken over TLS only."""

    ca: LocalPath | None = None
    """File with the certificates of who signed those of the controllers, in PEM; a relative path
    begins at the cluster file. Left out, the public authorities that Python's `certifi` brings. A
    certificate must be made out to the controller's address."""

    insecure: bool = False
    """Whether certificates are left unverified. Whoever stands between then reads the password, and
    each command says so."""

    timeout: Annotated[Duration, Between("1s", "5min", "20s")] = Duration.parse("20s")
    """How long a controller may take for one answer."""

    system: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Which of a controller's systems the host is, by its Id, such as `DGX`. Left out, a controller
    must have exactly one."""


def _eight() -> tuple[Hca, ...]:
    return tuple(Hca(device=f"mlx5_{at}", rail=at + 1) for at in range(8))


class Fabric(Section):
    """The switches between the hosts, and how they are wired."""

    kind: Literal["infiniband", "roce"] = "infiniband"
    """What it is: a rail-optimised fat tree, of InfiniBand switches or, with `roce`, of Ethernet
    switches that carry RDMA."""

    link: Link | None = None
    """What every cable must run at once it is up. InfiniBand: width and speed, where EDR, HDR, NDR
    and XDR are 25, 50, 100 and 200 Gb/s a lane; left out it is `4xNDR`. RoCE: Gb/s of Ethernet;
    left out it is `400GbE`."""

    radix: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 64
    """Ports of a switch that carry cables of this speed."""

    uplinks: Annotated[int, Field(ge=1, le=512)] | None = None
    """Ports of a leaf that go up. Left out it is half of them, so that nothing is oversubscribed;
    with fewer the plan says by how much it is."""

    roce: Roce = Roce()
    """Of RoCE: marks, MTU and names of ports."""

    access: Access | None = None
    """How switches that have an `address` are reached, to ask them for their neighbours. Left out
    it is as hosts are. InfiniBand switches are not asked so."""

    @property
    def speed(self) -> Link:
        """What every cable must run at."""
        return self.link or ("400GbE" if self.kind == "roce" else "4xNDR")


class Unit(Section):
    """A scalable unit, or several alike: hosts that share the leaves of their rails."""

    name: Name
    """Its name, such as `su1`. Where `count` is above 1, a number follows it: `su` becomes `su1`,
    `su2` and so on."""

    count: Annotated[int, Field(ge=1, le=1024)] = 1
    """How many units alike."""

    hosts: Annotated[int, Field(ge=1, le=512)]
    """Hosts of each. A unit that is not full keeps all its leaves and all their uplinks, so that
    hosts can follow without a change above them."""

    per_rack: Annotated[int, Field(ge=1, le=128)] = 4
    """Hosts of a rack; racks are named after the unit: `su1-r1`, `su1-r2` and so on."""

    addresses: Address | None = None
    """Management address of the first host; those after it have the next ones, also over the units
    that `count` stands for."""

    bmc_addresses: Address | None = None
    """Address of the first host's management controller; those after it have the next ones."""

    hourly: Hourly = 0.0
    """What a host costs an hour, in US dollars; for what is said about hosts that are left out."""


class Host(Section):
    """A host that is not named, or does not stand, as its unit would have it."""

    unit: Name
    """Name of its unit, with the number where there are several."""

    slot: Annotated[int, Field(ge=1, le=512)]
    """Its place in the unit, from 1: the port of the unit's leaves that it is wired to."""

    name: HostName | None = None
    """Its name. Left out it is made of the unit and the slot: `su1-001`."""

    rack: RackName | None = None
    """Its rack. Left out it follows from `per_rack`."""

    address: Address | None = None
    """Its management address. Left out it follows from the unit's `addresses`."""

    bmc_address: Address | None = None
    """Its management controller's address. Left out it follows from `bmc_addresses`."""

    hourly: Hourly | None = None
    """What it costs an hour, in US dollars. Left out it is the unit's."""


class Switch(Section):
    """A switch that is not as the cable plan would have it, or that can be asked."""

    name: Annotated[str, Form("the name of a switch of the cable plan, such as leaf-su1-r1")]
    """Its name in the cable plan: `leaf-su1-r1`, `spine-03`."""

    rack: RackName | None = None
    """Its rack. Left out, leaves stand in a rack of their unit, `su1-net`, and the rest in the
    rack `net`."""

    address: Address | None = None
    """With `fabric.kind: roce`, the address that it is asked at for its neighbours, over SSH: it
    runs lldpd, as SONiC and Cumulus do."""

    ports: SwitchPorts | None = None
    """With `fabric.kind: roce`, how its ports are named, where that is not as of all switches."""


class Cluster(Section):
    """A cluster of machines that somebody owns, as its cables and labels are made from it."""

    apiVersion: Literal["llmops/v1"] = "llmops/v1"  # noqa: N815
    """Version of this form."""

    kind: Literal["Cluster"]
    """What this file is."""

    name: Name
    """Name of the cluster."""

    fabric: Fabric = Fabric()
    """The switches, and how they are wired."""

    hcas: Annotated[tuple[Hca, ...], Tuple] = Field(default_factory=_eight)
    """RDMA adapters of a host. Left out there are eight, `mlx5_0` to `mlx5_7`, on the rails 1 to
    8."""

    nics: Annotated[tuple[Nic, ...], Tuple] = ()
    """Network cards of a host, as far as they matter here."""

    gpus: Gpus | None = None
    """GPUs of a host. Left out nothing is checked of them."""

    access: Access = Access()
    """How hosts are reached."""

    bmc: Bmc = Bmc()
    """How the hosts' management controllers are reached."""

    system: System = System()
    """What hosts are prepared with by `llmops cluster hosts prepare`."""

    units: Annotated[tuple[Unit, ...], Tuple]
    """The scalable units, in the order of their leaves."""

    hosts: Annotated[tuple[Host, ...], Tuple] = ()
    """Hosts that differ from what their unit makes of them."""

    switches: Annotated[tuple[Switch, ...], Tuple] = ()
    """Switches whose racks are others than those of the cable plan."""
