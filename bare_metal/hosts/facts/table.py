"""All facts of a host: what is asked, and which parser takes the answer. Nothing here asks.

Nothing depends on what a cluster declares but the kernel modules whose parameters are read and the
files that llmops writes itself, so that a recording serves any declaration.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from bare_metal.hosts.facts import devices, gpus, machine, neighbours, system
from bare_metal.hosts.facts.asking import ANCHOR, CommandFact, Fact, FileFact
from bare_metal.hosts.facts.model import (
    Account,
    Clock,
    Cpu,
    Disk,
    Gid,
    Gpu,
    GpuProcess,
    HcaPort,
    Interface,
    Kernel,
    Limit,
    Lldp,
    Memory,
    Neighbour,
    NumaNode,
    NvLink,
    NvLinkErrors,
    Pci,
    Remapped,
    Time,
    Unit,
    Unknown,
    Xid,
)

XID_WINDOW = "-2h"
"""How far back the log is searched for errors of GPUs, as Azure's health checks do."""
FLAP_WINDOW = "-24h"
"""How far back for links that went down, as there."""


NOT_ASKED = Unknown("it was not asked, since it loads the host: --load")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What is known of a host."""

    cpu: Cpu | Unknown
    memory: Memory | Unknown
    numa: tuple[NumaNode, ...] | Unknown
    kernel: Kernel | Unknown
    iommu_groups: tuple[str, ...] | Unknown
    pci: Pci | Unknown
    gpus: tuple[Gpu, ...] | Unknown
    remapped: tuple[Remapped, ...] | Unknown
    nvlinks: tuple[NvLink, ...] | Unknown
    nvlink_errors: tuple[NvLinkErrors, ...] | Unknown
    gpu_processes: tuple[GpuProcess, ...] | Unknown
    xids: tuple[Xid, ...] | Unknown
    link_downs: tuple[str, ...] | Unknown
    """Lines of the log about links that went down."""
    pcie_limits: tuple[str, ...] | Unknown
    """Lines about adapters whose slot is slower than they are."""
    hcas: tuple[HcaPort, ...] | Unknown
    gids: tuple[Gid, ...] | Unknown
    flow_control: dict[str, tuple[int, ...]] | Unknown
    """Priorities that no packet is dropped of (PFC), by interface."""
    neighbours: tuple[Neighbour, ...] | Unknown
    chassis: Lldp | Unknown
    interfaces: tuple[Interface, ...] | Unknown
    addresses: dict[str, str] | Unknown
    """The interface by address."""
    modules: tuple[str, ...] | Unknown
    builtin: tuple[str, ...] | Unknown
    """Modules that are part of the kernel."""
    parameters: dict[str, str] | Unknown
    """Parameters of the modules that are declared, by path."""
    versions: dict[str, str] | Unknown
    """Of loaded drivers."""
    firmware: dict[str, str] | Unknown
    """What the board says of itself."""
    sysctl: dict[str, str] | Unknown
    limits: dict[str, Limit] | Unknown
    time: Time | Unknown
    clock: Clock | Unknown
    disks: tuple[Disk, ...] | Unknown
    mounts: dict[str, str] | Unknown
    swap: int | Unknown
    """KiB of swap."""
    units: dict[str, Unit] | Unknown
    unit_files: dict[str, str] | Unknown
    accounts: dict[str, Account] | Unknown
    slurm_steps: tuple[str, ...] | Unknown
    """Steps of Slurm's jobs that run, each with the user that its process is of."""
    logins: tuple[str, ...] | Unknown
    """Who is logged in to a terminal: user and terminal."""
    firewall: str | Unknown
    """Our own table of nftables; empty where there is none."""
    ours: dict[str, str] | Unknown
    """Files that llmops writes, by path."""
    dcgm: tuple[str, ...] | Unknown = NOT_ASKED
    """Tests of `dcgmi diag` that failed."""
    nccl: float | Unknown = NOT_ASKED
    """GB/s of an all-reduce within the host."""


NAMES = tuple(one.name for one in fields(HostFacts))

_SMI = "nvidia-smi"
_NET = "/sys/class/net/*"
_IB = "/sys/class/infiniband/*"
_LLDP = ("lldpcli", "-f", "json0", "show")
_GIDS = ("gids", "gid_attrs/types", "gid_attrs/ndevs")
MOST_GIDS = 16
"""Entries of an adapter's table of addresses that are read: each IP address makes two."""
_LOG = ("journalctl", "--dmesg", "--no-pager", "--output=short-iso")

OURS = (
    "/etc/security/limits.d/90-llmops.conf",
    "/etc/sysctl.d/90-llmops.conf",
    "/etc/modules-load.d/llmops.conf",
    "/etc/modprobe.d/llmops.conf",
    "/etc/llmops/*.nft",
    "/etc/systemd/system/llmops-*",
    "/etc/systemd/system/*.mount",
    "/etc/llmops/maintenance",
    "/etc/llmops/agent.env",
    "/etc/llmops/agent.sha256",
    "/etc/llmops/ray-token.sha256",
    "/opt/llmops/current/complete",
)
"""Files that operations write, and the mounts beside them."""


def facts_of(modules: tuple[str, ...] = (), *, load: bool = False) -> tuple[Fact, ...]:
    """All facts.

    Args:
        modules: Kernel modules whose parameters are read.
        load: Whether what loads the GPUs for a minute is asked too.
    """
    parameters = tuple(f"/sys/module/{name}/parameters/*" for name in sorted(modules))
    modules_own = FileFact("parameters", (ANCHOR, *parameters), machine.by_path)
    return (*_MACHINE, *_GPUS, *_ADAPTERS, *_SYSTEM, modules_own, *(_LOAD if load else ()))


_MACHINE: tuple[Fact, ...] = (
    FileFact("cpu", ("/proc/cpuinfo",), machine.cpu),
    FileFact("memory", ("/proc/meminfo",), machine.memory),
    FileFact("numa", (ANCHOR, "/sys/devices/system/node/node*/cpulist"), machine.numa),
    FileFact(
        "kernel", ("/proc/sys/kernel/osrelease", "/proc/cmdline", "/etc/os-release"), machine.kernel
    ),
    FileFact("iommu_groups", (ANCHOR, "/sys/kernel/iommu_groups/*/type"), machine.iommu_groups),
    CommandFact("pci", ("lspci", "-D", "-vvv"), devices.pci),
    FileFact("modules", ("/proc/modules",), machine.modules),
    FileFact("builtin", (ANCHOR, "/lib/modules/*/modules.builtin"), machine.builtin),
    FileFact("versions", (ANCHOR, "/sys/module/*/version"), machine.versions),
    FileFact(
        "firmware",
        (
            ANCHOR,
            *(f"/sys/class/dmi/id/{n}" for n in ("sys_vendor", "product_name", "bios_version")),
        ),
        machine.firmware,
    ),
    FileFact("swap", ("/proc/swaps",), machine.swaps),
)

_GPUS: tuple[Fact, ...] = (
    CommandFact("gpus", (_SMI, f"--query-gpu={','.join(gpus.FIELDS)}", gpus.FORM), gpus.gpus),
    CommandFact(
        "remapped",
        (
            _SMI,
            "--query-remapped-rows=gpu_bus_id,remapped_rows.pending,remapped_rows.failure",
            gpus.FORM,
        ),
        gpus.remapped,
    ),
    CommandFact("nvlinks", (_SMI, "nvlink", "-s"), gpus.nvlinks),
    CommandFact("nvlink_errors", (_SMI, "nvlink", "-e"), gpus.nvlink_errors),
    CommandFact("gpu_processes", ("sh", "-c", gpus.PROCESSES), gpus.processes),
    CommandFact("xids", (*_LOG, f"--since={XID_WINDOW}", "--grep=NVRM: Xid"), gpus.xids),
)

_ADAPTERS: tuple[Fact, ...] = (
    FileFact(
        "hcas",
        (
            ANCHOR, f"{_IB}/fw_ver", f"{_IB}/board_id", f"{_IB}/node_desc", f"{_IB}/device/uevent",
            f"{_IB}/device/numa_node", f"{_IB}/ports/1/link_layer", f"{_IB}/ports/1/state",
            f"{_IB}/ports/1/phys_state", f"{_IB}/ports/1/rate", f"{_IB}/ports/1/counters/*",
        ),
        devices.hcas,
    ),
    FileFact(
        "gids",
        (ANCHOR, *(f"{_IB}/ports/1/{part}/{at}" for at in range(MOST_GIDS) for part in _GIDS)),
        neighbours.gids,
    ),
    CommandFact("flow_control", ("sh", "-c", neighbours.FLOW_CONTROL), neighbours.flow_control),
    CommandFact("neighbours", (*_LLDP, "neighbors"), neighbours.neighbours),
    CommandFact("chassis", (*_LLDP, "chassis"), neighbours.chassis),
    FileFact(
        "interfaces",
        (
            ANCHOR, f"{_NET}/operstate", f"{_NET}/mtu", f"{_NET}/speed", f"{_NET}/device/uevent",
        ),
        devices.interfaces,
    ),
    CommandFact("addresses", ("ip", "-o", "addr", "show"), devices.addresses),
    CommandFact(
        "link_downs",
        (
            "journalctl", "--no-pager", "--output=short-iso", f"--since={FLAP_WINDOW}",
            "--grep=lost carrier|link (is )?down",
        ),
        gpus.log_lines,
    ),
    CommandFact("pcie_limits", (*_LOG, "--boot", "--grep=mlx5.*limited by"), gpus.log_lines),
)  # fmt: skip

_SYSTEM: tuple[Fact, ...] = (
    CommandFact("sysctl", ("sysctl", "-a"), system.sysctl),
    FileFact("limits", ("/proc/self/limits",), system.limits),
    CommandFact("time", ("timedatectl", "show"), system.time),
    CommandFact("clock", ("date", "+%s.%N"), system.clock),
    CommandFact(
        "disks",
        ("lsblk", "-J", "-b", "-o", "NAME,TYPE,SIZE,FSTYPE,LABEL,UUID,MOUNTPOINT"),
        system.disks,
    ),
    FileFact("mounts", ("/proc/mounts",), system.mounts),
    CommandFact(
        "units",
        ("systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager"),
        system.units,
    ),
    CommandFact(
        "unit_files",
        ("systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager"),
        system.unit_files,
    ),
    FileFact(
        "accounts",
        (
            ANCHOR,
            "/etc/passwd",
            "/root/.ssh/authorized_keys",
            "/home/*/.ssh/authorized_keys",
        ),
        system.accounts,
    ),
    CommandFact(
        "slurm_steps", ("ps", "-C", "slurmstepd", "-o", "pid=,user:32="), system.slurm_steps
    ),
    CommandFact("logins", ("who",), system.logins),
    CommandFact("firewall", ("nft", "list", "table", "inet", "llmops"), system.firewall),
    FileFact("ours", (ANCHOR, *OURS), machine.kept),
)

LOAD_SECONDS = 900.0
_LOAD: tuple[Fact, ...] = (
    CommandFact("dcgm", ("dcgmi", "diag", "-r", "1"), gpus.dcgm, LOAD_SECONDS),
    CommandFact(
        "nccl",
        ("all_reduce_perf", "-b", "16G", "-e", "16G", "-f", "2", "-g", "8"),
        gpus.nccl,
        LOAD_SECONDS,
    ),
)
