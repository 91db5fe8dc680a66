"""What may stand in `cluster.yaml`: which hosts there are, and how their fabric is built.

A compact form says most of it in a line: so many scalable units of so many hosts. Hosts that are
named, or stand in a rack of their own, are written out beside it. Every field is documented by the
docstring right below it. Nothing here reads a file, counts ports or wires anything: see `document`,
`contradictions` and `bare_metal.fabric`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec import Form, Name, Section

Tuple = Field(strict=False)

HostName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
    Form("a host's name: at most 63 lower-case letters, digits and hyphens"),
]
RackName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?$"),
    Form("a rack's name: letters, digits, dots and hyphens"),
]
Device = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,30}$"),
    Form("the name of an RDMA device, such as mlx5_0"),
]
Pci = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$"),
    Form("a PCI address such as 0000:18:00.0, in lower case"),
]
Link = Literal["4xEDR", "4xHDR", "4xNDR", "4xXDR"]


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


def _eight() -> tuple[Hca, ...]:
    return tuple(Hca(device=f"mlx5_{at}", rail=at + 1) for at in range(8))


class Fabric(Section):
    """The switches between the hosts, and how they are wired."""

    kind: Literal["infiniband"] = "infiniband"
    """What it is: a rail-optimised fat tree of InfiniBand switches."""

    link: Link = "4xNDR"
    """Width and speed that every cable must have once it is up: EDR, HDR, NDR and XDR are 25, 50,
    100 and 200 Gb/s a lane."""

    radix: Annotated[int, Field(ge=4, le=1024, multiple_of=2)] = 64
    """Ports of a switch that carry cables of this speed."""

    uplinks: Annotated[int, Field(ge=1, le=512)] | None = None
    """Ports of a leaf that go up. Left out it is half of them, so that nothing is oversubscribed;
    with fewer the plan says by how much it is."""


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


class Switch(Section):
    """A switch that does not stand where the cable plan would have it."""

    name: Annotated[str, Form("the name of a switch of the cable plan, such as leaf-su1-r1")]
    """Its name in the cable plan: `leaf-su1-r1`, `spine-03`."""

    rack: RackName
    """Its rack. Left out, leaves stand in a rack of their unit, `su1-net`, and the rest in the
    rack `net`."""


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

    units: Annotated[tuple[Unit, ...], Tuple]
    """The scalable units, in the order of their leaves."""

    hosts: Annotated[tuple[Host, ...], Tuple] = ()
    """Hosts that differ from what their unit makes of them."""

    switches: Annotated[tuple[Switch, ...], Tuple] = ()
    """Switches whose racks are others than those of the cable plan."""
