"""What a fabric of Ethernet switches needs said beside its shape: how ports are named, what RoCE
is marked with, and how large a frame may be.

Defaults are those of NVIDIA's own guides: "RDMA over Converged Ethernet (RoCE)" of MLNX_OFED and
DOCA (DSCP 26 in priority 3 by default; an adapter's largest RDMA MTU of 4096 needs an Ethernet MTU
above it) and the network operator's (priority 3, trust dscp). Nothing here sets any of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec import Form, Section

Tuple = Field(strict=False)


class SwitchPorts(Section):
    """How the ports of a switch are named, as the switch itself and LLDP name them."""

    form: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9{}/:._-]{1,40}$"),
        Form("a name with {port} in it, such as swp{port} or Ethernet{port}"),
    ] = "swp{port}"
    """Name of a port; `{port}` stands for the number of its cage and `{lane}` for its part where a
    cage carries several cables. NVIDIA's Cumulus says `swp{port}` or `swp{port}s{lane}`, SONiC
    `Ethernet{port}`, Arista `Ethernet{port}/{lane}`."""

    first: Annotated[int, Field(ge=0, le=1024)] = 1
    """Number of the first cage: 0 on SONiC."""

    step: Annotated[int, Field(ge=1, le=64)] = 1
    """What is added from one cage to the next: 8 on SONiC where a cage has eight lanes."""

    lanes: Annotated[
        tuple[Annotated[int, Field(ge=0, le=16)], ...], Tuple, Field(max_length=8)
    ] = ()
    """What `{lane}` is, in order, for the cables of a cage: `[0, 1]` of a twin port on Cumulus.
    Left out a cage carries one cable."""


class Roce(Section):
    """RDMA over Converged Ethernet, version 2."""

    gid_index: Literal["auto"] | Annotated[int, Field(ge=0, le=15)] = "auto"
    """Entry of an adapter's table of addresses (GIDs) that is used: one of RoCE v2. `auto` leaves
    it to NCCL (from 2.21 on) and UCX, which then look for one with an IPv4 address."""

    dscp: Annotated[int, Field(ge=0, le=63)] = 26
    """Mark in the header of every packet, by which switches and adapters know RDMA. The traffic
    class that programs are told is four times as much, and 2 for that packets may be marked instead
    of dropped (ECN): 106 of 26."""

    priority: Annotated[int, Field(ge=0, le=7)] = 3
    """Priority that the mark is mapped to, and that no packet of is dropped (PFC)."""

    mtu: Annotated[int, Field(ge=1500, le=9978)] = 9000
    """MTU in bytes of the adapters' interfaces, all the same; that of switch ports may be larger.
    From 4192 on RDMA uses its largest packets, of 4096 bytes."""

    ports: SwitchPorts = SwitchPorts()
    """How the ports of switches are named."""
