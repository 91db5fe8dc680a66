"""What is known of a host. A value that could not be read is Unknown, which is never a good one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmops.units import Bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing could be said, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processors."""

    model: str
    sockets: int
    cores: int
    threads: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory, its swap and its huge pages."""

    total: Bytes
    available: Bytes
    swap: Bytes
    huge_pages: int
    """Huge pages of the default size."""
    huge_page: Bytes
    """That size."""


@dataclass(frozen=True, slots=True)
class NumaNode:
    """A NUMA node."""

    number: int
    cpus: str
    """As the kernel lists them: `0-55,112-167`."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The system as it was started."""

    release: str
    system: str
    """The distribution, as it calls itself."""
    command_line: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A device on the PCI bus."""

    address: str
    name: str
    driver: str = ""
    numa: int | None = None
    speed: float | None = None
    """GT/s that its link runs at."""
    speed_most: float | None = None
    """GT/s that it could run at."""
    width: int | None = None
    width_most: int | None = None
    source_validation: bool | None = None
    """Whether ACS validates sources here; None where the device has no such control."""


@dataclass(frozen=True, slots=True)
class Pci:
    """All devices of the bus."""

    devices: tuple[PciDevice, ...]
    whole: bool
    """Whether their capabilities could be read, which takes root."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as `nvidia-smi` tells of it; None where it says that it does not know."""

    index: int
    name: str
    uuid: str
    pci: str
    memory: Bytes | None
    driver: str
    firmware: str
    ecc: str | None
    ecc_pending: str | None
    ecc_errors: int | None
    """Uncorrectable errors since the driver was loaded."""
    throttle: int | None
    """Reasons why its clocks are not at their highest, as bits."""
    temperature: int | None
    """Degrees Celsius."""
    link_width: int | None
    clock: int | None
    """Application clock of its processors, in MHz."""
    clock_default: int | None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds a GPU's memory."""

    pid: int
    user: str
    """Whose it is; empty where it had ended by then."""
    name: str
    memory: Bytes | None
    """Of GPUs; None where the driver does not say."""


@dataclass(frozen=True, slots=True)
class Remapped:
    """Rows of a GPU's memory that were replaced."""

    pci: str
    pending: str
    failure: str


@dataclass(frozen=True, slots=True)
class NvLink:
    """A link between GPUs."""

    gpu: int
    link: int
    rate: float
    """GB/s; 0 where it is inactive."""


@dataclass(frozen=True, slots=True)
class NvLinkErrors:
    """All errors of a GPU's links since they were reset."""

    gpu: int
    errors: int


@dataclass(frozen=True, slots=True)
class HcaPort:
    """An RDMA adapter and its first port."""

    device: str
    pci: str
    numa: int | None
    firmware: str
    board: str
    layer: str
    """`InfiniBand` or `Ethernet`."""
    state: str
    physical: str
    rate: float | None
    """Gb/s."""
    description: str
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gid:
    """An address of an adapter that is used."""

    device: str
    index: int
    address: str
    kind: str
    """`RoCE v2` or `IB/RoCE v1`; empty where it was not said."""
    interface: str
    """The network interface that it is of; empty on InfiniBand."""

    @property
    def ipv4(self) -> bool:
        """Whether it stands for an IPv4 address."""
        return self.address.startswith("0000:0000:0000:0000:0000:ffff:")


@dataclass(frozen=True, slots=True)
class Lldp:
    """What a host tells its neighbours of itself."""

    chassis: str
    name: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Whom an interface hears by LLDP."""

    interface: str
    chassis: str
    name: str
    """What it calls itself; empty where it does not say."""
    port: str
    """Name of its port; empty where it says a hardware address only."""
    description: str
    """What it says of the port beside that: often the interface's name."""

    @property
    def ports(self) -> tuple[str, ...]:
        """The names that its port goes by."""
        return tuple(dict.fromkeys(filter(None, (self.port, self.description))))


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface."""

    device: str
    state: str
    mtu: int | None
    speed: int | None
    """Mb/s; None where it is down or has none."""
    driver: str
    pci: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of login sessions, in its own unit; None stands for none at all."""

    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class Clock:
    """The host's clock beside that of this machine."""

    ahead: float
    """Seconds that the host's is ahead, measured against the middle of the asking."""
    within: float
    """Seconds that this may be wrong by."""


@dataclass(frozen=True, slots=True)
class Time:
    """How the clock is kept."""

    service: bool
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, a partition or a volume."""

    name: str
    kind: str
    size: Bytes
    filesystem: str
    label: str
    uuid: str
    mounted: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of systemd that is loaded."""

    name: str
    active: str
    detail: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account, with the public keys that may log in to it."""

    name: str
    number: int
    home: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Xid:
    """An error that the GPU's driver told the kernel's log."""

    pci: str
    code: int
    line: str
