"""Parsers: processors, memory, NUMA, the kernel and how it was started. Pure."""

from __future__ import annotations

import re

from bare_metal.hosts.connection import Files
from bare_metal.hosts.facts.asking import UnknownError, anchored, text_of, whole
from bare_metal.hosts.facts.model import Cpu, Kernel, Memory, NumaNode
from llmops.units import Bytes


def cpu(files: Files) -> Cpu:
    """`/proc/cpuinfo`. A core is told by socket and number; a virtual machine may tell neither."""
    blocks = [
        dict(re.findall(r"^(.+?)\s*: ?(.*)$", block, re.MULTILINE))
        for block in text_of(files, "/proc/cpuinfo").split("\n\n")
        if "processor" in block
    ]
    if not blocks:
        raise UnknownError("/proc/cpuinfo names no processor")
    cores = {(b.get("physical id", "0"), b.get("core id", b["processor"])) for b in blocks}
    return Cpu(
        blocks[0].get("model name", "unnamed"), len({socket for socket, _ in cores}), len(cores),
        len(blocks),
    )  # fmt: skip


def memory(files: Files) -> Memory:
    """`/proc/meminfo`, whose sizes are in KiB."""
    rows = dict(re.findall(r"^(\w+):\s+(\d+)", text_of(files, "/proc/meminfo"), re.MULTILINE))
    try:
        total, free, swap = (
            Bytes(int(rows[name]) * 1024) for name in ("MemTotal", "MemAvailable", "SwapTotal")
        )
        pages, page = int(rows.get("HugePages_Total", "0")), int(rows.get("Hugepagesize", "0"))
    except KeyError as error:
        raise UnknownError(f"/proc/meminfo says nothing of {error.args[0]}") from error
    return Memory(total, free, swap, pages, Bytes(page * 1024))


def numa(files: Files) -> tuple[NumaNode, ...]:
    """`/sys/devices/system/node/node*/cpulist`."""
    nodes = (
        NumaNode(int(found[1]), text.strip())
        for path, text in anchored(files).items()
        if (found := re.search(r"/node(\d+)/cpulist$", path))
    )
    return tuple(sorted(nodes, key=lambda node: node.number))


def kernel(files: Files) -> Kernel:
    """The release, the distribution and the command line."""
    system = re.search(
        r'^PRETTY_NAME="?([^"\n]*)', files.texts.get("/etc/os-release", ""), re.MULTILINE
    )
    return Kernel(
        text_of(files, "/proc/sys/kernel/osrelease").strip(),
        system[1] if system else "",
        tuple(text_of(files, "/proc/cmdline").split()),
    )


def iommu_groups(files: Files) -> tuple[str, ...]:
    """Kinds of IOMMU groups, such as `DMA` or `identity`; none where the IOMMU is off."""
    return tuple(sorted({text.strip() for text in anchored(files).values()}))


def modules(files: Files) -> tuple[str, ...]:
    """`/proc/modules`: names of what is loaded."""
    return tuple(line.split()[0] for line in text_of(files, "/proc/modules").splitlines() if line)


def builtin(files: Files) -> tuple[str, ...]:
    """`/lib/modules/*/modules.builtin`: modules that are part of the kernel."""
    return tuple(
        line.rsplit("/", 1)[1].removesuffix(".ko").replace("-", "_")
        for text in anchored(files).values()
        for line in text.splitlines()
        if "/" in line
    )


def by_path(files: Files) -> dict[str, str]:
    """Files as they are, without the newline at their end."""
    return {path: text.rstrip("\n") for path, text in anchored(files).items()}


def kept(files: Files) -> dict[str, str]:
    """Files as they are, every byte."""
    return anchored(files)


def versions(files: Files) -> dict[str, str]:
    """Versions of loaded drivers and of the firmware, by name."""
    return {path.split("/")[3]: text.strip() for path, text in anchored(files).items()}


def firmware(files: Files) -> dict[str, str]:
    """What the board says of itself (DMI)."""
    return {path.rsplit("/", 1)[1]: text.strip() for path, text in anchored(files).items()}


def swaps(files: Files) -> int:
    """`/proc/swaps`: KiB of swap in all."""
    lines = text_of(files, "/proc/swaps").splitlines()
    if not lines or not lines[0].startswith("Filename"):
        raise UnknownError("/proc/swaps is no list of swaps")
    return sum(whole(line.split()[2]) for line in lines[1:])
