"""Parsers: GPUs, as `nvidia-smi` and the kernel's log tell of them. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from bare_metal.hosts.connection import Ran
from bare_metal.hosts.facts.asking import UnknownError, maybe, printed
from bare_metal.hosts.facts.model import (
    Gpu,
    GpuProcess,
    NvLink,
    NvLinkErrors,
    Remapped,
    Xid,
)
from llmops.units import Bytes

FIELDS = (
    "index", "name", "uuid", "pci.bus_id", "memory.total", "driver_version", "vbios_version",
    "ecc.mode.current", "ecc.mode.pending", "ecc.errors.uncorrected.volatile.total",
    "clocks_event_reasons.active", "temperature.gpu", "pcie.link.width.current",
    "clocks.applications.graphics", "clocks.default_applications.graphics",
)  # fmt: skip
"""What is asked of each GPU, in the words of `nvidia-smi --help-query-gpu`."""

FORM = "--format=csv,noheader,nounits"
MIB = 2**20


def _rows(ran: Ran, columns: int) -> Iterator[list[str]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(printed(ran).splitlines()) if row]
    if not rows:
        raise UnknownError("nvidia-smi printed nothing")
    for row in rows:
        if len(row) != columns:
            raise UnknownError(f"expected {columns} columns, found {', '.join(row)[:100]!r}")
        yield row


def _said(text: str) -> str | None:
    """A cell, unless it says that nothing is known: `[N/A]`, `[Unknown Error]`, `ERR!`."""
    return None if not text or text.startswith("[") or text in ("N/A", "ERR!") else text


def gpus(ran: Ran) -> tuple[Gpu, ...]:
    """`nvidia-smi --query-gpu`, one line for each GPU."""
    return tuple(_gpu(row) for row in _rows(ran, len(FIELDS)))


def _gpu(row: list[str]) -> Gpu:
    index, memory = maybe(row[0]), maybe(row[4])
    if index is None:
        raise UnknownError(f"expected the number of a GPU, found {row[0][:40]!r}")
    return Gpu(
        index, row[1], row[2], short(row[3]), Bytes(memory * MIB) if memory else None, row[5],
        row[6], _said(row[7]), _said(row[8]), *(maybe(cell) for cell in row[9:15]),
    )  # fmt: skip


def short(address: str) -> str:
    """A PCI address with a domain of four digits, as the kernel writes it."""
    return address.lower()[-12:]


PROCESSES = f"""\
found=$(nvidia-smi --query-compute-apps=pid,used_memory,process_name {FORM}) || exit $?
printf '%s\\n' "$found" | while IFS=, read -r pid memory name; do
  [ -n "$pid" ] || continue
  printf '%s,%s,%s,%s\\n' "$pid" "$(ps -o user:32= -p "$pid")" "$memory" "$name"
done
"""
"""Who holds GPUs, each with its owner: `nvidia-smi --help-query-compute-apps`, `ps(1)`."""


def processes(ran: Ran) -> tuple[GpuProcess, ...]:
    """What `PROCESSES` printed, a line for each process on each GPU, as one for each process."""
    found: dict[int, GpuProcess] = {}
    for line in printed(ran).splitlines():
        row = [cell.strip() for cell in line.split(",", 3)]
        if len(row) != 4 or (pid := maybe(row[0])) is None:
            raise UnknownError(f"expected a process on a GPU, found {line[:100]!r}")
        memory, before = maybe(row[2]), found.get(pid)
        size = (memory or 0) * MIB + (int(before.memory or 0) if before else 0)
        found[pid] = GpuProcess(pid, row[1], row[3][:100], Bytes(size) if size else None)
    return tuple(found.values())


def remapped(ran: Ran) -> tuple[Remapped, ...]:
    """`nvidia-smi --query-remapped-rows`."""
    return tuple(Remapped(short(row[0]), row[1], row[2]) for row in _rows(ran, 3))


def _by_gpu(ran: Ran) -> Iterator[tuple[int, str]]:
    _, *pieces = re.split(r"^GPU (\d+): .*$", printed(ran), flags=re.MULTILINE)
    if not pieces:
        raise UnknownError("nvidia-smi names no GPU")
    for number, block in zip(pieces[::2], pieces[1::2], strict=True):
        yield int(number), block


def nvlinks(ran: Ran) -> tuple[NvLink, ...]:
    """`nvidia-smi nvlink -s`."""
    return tuple(
        NvLink(gpu, int(link), 0.0 if rate == "<inactive>" else float(rate.split()[0]))
        for gpu, block in _by_gpu(ran)
        for link, rate in re.findall(r"Link (\d+): (<inactive>|[\d.]+ GB/s)", block)
    )


def nvlink_errors(ran: Ran) -> tuple[NvLinkErrors, ...]:
    """`nvidia-smi nvlink -e`."""
    return tuple(
        NvLinkErrors(gpu, sum(int(n) for n in re.findall(r"Errors: (\d+)", block)))
        for gpu, block in _by_gpu(ran)
        if "Errors:" in block
    )


_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)")


def log_lines(ran: Ran) -> tuple[str, ...]:
    """What `journalctl --grep` found; it ends with 1 where that is nothing."""
    text = printed(ran, 1)
    if ran.err.strip():
        raise UnknownError(ran.err.strip().splitlines()[-1][:200])
    if ran.code and text.strip() not in ("", "-- No entries --"):
        raise UnknownError(f"the log could not be read: {text.strip()[:100]}")
    return tuple(line for line in text.splitlines() if line and not line.startswith("-- "))


def xids(ran: Ran) -> tuple[Xid, ...]:
    """Errors that the GPUs' driver logged."""
    return tuple(
        Xid(found[1].lower(), int(found[2]), line[:300])
        for line in log_lines(ran)
        if (found := _XID.search(line))
    )


def dcgm(ran: Ran) -> tuple[str, ...]:
    """`dcgmi diag`: tests that failed. It ends with an error where one did."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:3]]
        for line in ran.out.splitlines()
        if "|" in line
    ]
    told = [
        row for row in rows if len(row) == 2 and row[1].split(" ")[0] in ("Pass", "Fail", "Skip")
    ]
    if not told:
        raise UnknownError((ran.err.strip() or ran.out.strip())[:200] or "dcgmi named no test")
    return tuple(row[0] for row in told if row[1].startswith("Fail"))


def nccl(ran: Ran) -> float:
    """`all_reduce_perf` of nccl-tests: the average bus bandwidth in GB/s."""
    found = re.search(r"^# Avg bus bandwidth\s*:\s*([\d.]+)", printed(ran), re.MULTILINE)
    if found is None:
        raise UnknownError("all_reduce_perf told no bandwidth")
    return float(found[1])
