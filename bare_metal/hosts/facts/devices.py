"""Parsers: the PCI bus, RDMA adapters and network interfaces. Pure."""

from __future__ import annotations

import re
from collections import defaultdict

from bare_metal.hosts.connection import Files, Ran
from bare_metal.hosts.facts.asking import UnknownError, anchored, maybe, printed
from bare_metal.hosts.facts.model import HcaPort, Interface, Pci, PciDevice

_DEVICE = re.compile(r"^([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) (.*)$", re.MULTILINE)


def pci(ran: Ran) -> Pci:
    """`lspci -D -vvv`."""
    text = printed(ran)
    _, *pieces = _DEVICE.split(text)
    devices = tuple(
        _device(address, name, block)
        for address, name, block in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    )
    if not devices:
        raise UnknownError("lspci names no device")
    return Pci(devices, "<access denied>" not in text)


def _device(address: str, name: str, block: str) -> PciDevice:
    def one(pattern: str) -> str:
        found = re.search(pattern, block)
        return found[1] if found else ""

    def rate(pattern: str) -> float | None:
        return float(told) if (told := one(pattern)) else None

    control = one(r"ACSCtl:\s+SrcValid([+-])")
    return PciDevice(
        address, name, one(r"Kernel driver in use: (\S+)"), maybe(one(r"NUMA node: (\d+)")),
        rate(r"LnkSta:.*?Speed ([\d.]+)GT/s"), rate(r"LnkCap:.*?Speed ([\d.]+)GT/s"),
        maybe(one(r"LnkSta:.*?Width x(\d+)")), maybe(one(r"LnkCap:.*?Width x(\d+)")),
        control == "+" if control else None,
    )  # fmt: skip


def _grouped(files: Files, below: str) -> dict[str, dict[str, str]]:
    """Texts by device and by what is below it."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path, text in anchored(files).items():
        device, _, rest = path.removeprefix(below).partition("/")
        found[device][rest] = text.strip()
    return dict(sorted(found.items()))


def hcas(files: Files) -> tuple[HcaPort, ...]:
    """`/sys/class/infiniband`; each adapter by its first port."""
    return tuple(
        _hca(device, texts) for device, texts in _grouped(files, "/sys/class/infiniband/").items()
    )


def _hca(device: str, texts: dict[str, str]) -> HcaPort:
    rate = re.match(r"([\d.]+) Gb/sec", texts.get("ports/1/rate", ""))
    counters = {
        name.rsplit("/", 1)[1]: count
        for name, text in texts.items()
        if name.startswith("ports/1/counters/") and (count := maybe(text)) is not None
    }
    return HcaPort(
        device, _slot(texts), maybe(texts.get("device/numa_node", "")), texts.get("fw_ver", ""),
        texts.get("board_id", ""), texts.get("ports/1/link_layer", ""),
        texts.get("ports/1/state", "").partition(": ")[2],
        texts.get("ports/1/phys_state", "").partition(": ")[2],
        float(rate[1]) if rate else None, texts.get("node_desc", ""), counters,
    )  # fmt: skip


def _slot(texts: dict[str, str]) -> str:
    found = re.search(r"^PCI_SLOT_NAME=(\S+)$", texts.get("device/uevent", ""), re.MULTILINE)
    return found[1] if found else ""


def interfaces(files: Files) -> tuple[Interface, ...]:
    """`/sys/class/net`."""
    # A card that is down has a speed that cannot be read: that says so, and is no failed answer.
    readable = Files(files.texts, failed=files.failed)
    return tuple(
        _interface(device, texts)
        for device, texts in _grouped(readable, "/sys/class/net/").items()
        if "operstate" in texts
    )


def _interface(device: str, texts: dict[str, str]) -> Interface:
    driver = re.search(r"^DRIVER=(\S+)$", texts.get("device/uevent", ""), re.MULTILINE)
    speed = maybe(texts.get("speed", ""))
    return Interface(
        device, texts["operstate"], maybe(texts.get("mtu", "")),
        speed if speed is not None and speed > 0 else None, driver[1] if driver else "",
        _slot(texts),
    )  # fmt: skip


def addresses(ran: Ran) -> dict[str, str]:
    """`ip -o addr show`: the interface by address."""
    rows = re.findall(r"^\d+: (\S+)\s+inet6? ([0-9a-f.:]+)", printed(ran), re.MULTILINE)
    if not rows:
        raise UnknownError("ip names no address")
    return {address: device for device, address in rows}
