"""Hosts that were never there: trees of files and answers, written by hand from documented formats.

None of them was recorded on hardware. What `nvidia-smi`, `lspci` and the kernel's files look like
is from their manuals and from the kernel's own documentation of sysfs. A case is a file below
`tests/cases/hosts`: it says what differs from a healthy host with eight GPUs and eight adapters.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bare_metal.hosts.connection import Ran, record
from bare_metal.hosts.facts import CommandFact, facts_of
from bare_metal.inventory import Cluster, hosts_of, parse_cluster

FILE = """\
kind: Cluster
name: alpha
gpus: {kind: H100-SXM, count: 8}
nics: [{device: eno1, use: management}]
units: [{name: su, hosts: 4, addresses: 10.0.0.1, bmc_addresses: 10.0.9.1, hourly: 32.0}]
system:
  memlock: unlimited
  hugepages: 1024
  iommu: passthrough
  modules: [{name: nvidia_peermem}]
"""
SMI = "NVIDIA H100 80GB HBM3"
NOW = 1_800_000_000.0


def cluster(text: str = FILE) -> Cluster:
    return parse_cluster(text).value


@dataclass
class Tree:
    """What a host holds: files by path, and what each command prints, by the name of its fact."""

    files: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Ran] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put it into a folder as a recording."""
        argv = {f.name: f.argv for f in facts_of(load=True) if isinstance(f, CommandFact)}
        record(folder, self.files, {argv[name]: ran for name, ran in self.answers.items()})


def _said(text: str, code: int = 0, err: str = "") -> Ran:
    return Ran(code, text, err, NOW, NOW + 0.02)


def healthy(host: str, address: str = "10.0.0.1", *, ethernet: bool = False) -> Tree:
    """A host as it should be, on a fabric of InfiniBand or of Ethernet."""
    tree = Tree()
    tree.files = {**_machine(), **_network(), **dict(_adapters(host))}
    if ethernet:
        tree.files |= dict(_roce())
    tree.answers = {
        "gpus": _said("".join(_gpu(at) for at in range(8))),
        "remapped": _said("".join(f"00000000:{0x1A + at:02X}:00.0, 0, 0\n" for at in range(8))),
        "nvlinks": _said("".join(_links(at, "26.562 GB/s") for at in range(8))),
        "nvlink_errors": _said("".join(_errors(at) for at in range(8))),
        "xids": _said("-- No entries --\n", 1),
        "link_downs": _said("-- No entries --\n", 1),
        "pcie_limits": _said("-- No entries --\n", 1),
        "pci": _said("".join(_pci(at) for at in range(8)) + MANAGEMENT),
        "flow_control": _said("".join(_pfc(at) for at in range(8))),
        "neighbours": _said('{"lldp": [{}]}\n'),
        "chassis": _said(CHASSIS),
        "addresses": _said(
            "1: lo    inet 127.0.0.1/8 scope host lo\n"
            f"2: eno1    inet {address}/16 brd 10.0.255.255 scope global eno1\n"
        ),
        "sysctl": _said("net.core.somaxconn = 4096\nvm.nr_hugepages = 1024\nvm.swappiness = 60\n"),
        "time": _said("Timezone=Etc/UTC\nNTP=yes\nNTPSynchronized=yes\n"),
        "clock": _said(f"{NOW + 0.01}\n"),
        "disks": _said(DISKS),
        "units": _said(UNITS),
        "unit_files": _said(UNIT_FILES),
        "gpu_processes": _said(""),
        "slurm_steps": _said("", 1),
        "logins": _said(""),
        "firewall": _said("", 1, "Error: No such file or directory\nlist table inet llmops\n"),
        "dcgm": _said("| Software   | Pass |\n| PCIe       | Pass - All |\n"),
        "nccl": _said("#\n# Avg bus bandwidth    : 473.118\n#\n"),
    }
    return tree


def _gpu(at: int) -> str:
    return (
        f"{at}, {SMI}, GPU-{at:08x}, 00000000:{0x1A + at:02X}:00.0, 81559, 570.86.15,"
        " 96.00.99.00.01, Enabled, Enabled, 0, 0x0000000000000001, 34, 16, 1980, 1980\n"
    )


def _links(gpu: int, rate: str) -> str:
    lines = "".join(f"\t Link {at}: {rate}\n" for at in range(18))
    return f"GPU {gpu}: {SMI} (UUID: GPU-{gpu:08x})\n{lines}"


def _errors(gpu: int) -> str:
    kinds = ("Replay", "Recovery", "CRC")
    lines = "".join(f"\t Link {at}: {kind} Errors: 0\n" for at in range(18) for kind in kinds)
    return f"GPU {gpu}: {SMI} (UUID: GPU-{gpu:08x})\n{lines}"


def slot(at: int) -> str:
    """Where an adapter is on the PCI bus."""
    return f"0000:{0x30 + at:02x}:00.0"


def _pci(at: int) -> str:
    return (
        f"{slot(at)} Infiniband controller: Mellanox Technologies MT2910 Family [ConnectX-7]\n"
        f"\tNUMA node: {at // 4}\n"
        "\t\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM not supported\n"
        "\t\tLnkSta:\tSpeed 32GT/s, Width x16\n"
        "\tCapabilities: [100 v1] Access Control Services\n"
        "\t\tACSCap:\tSrcValid- TransBlk- ReqRedir-\n"
        "\t\tACSCtl:\tSrcValid- TransBlk- ReqRedir-\n"
        "\tKernel driver in use: mlx5_core\n\n"
    )


MANAGEMENT = (
    "0000:02:00.0 Ethernet controller: Intel Corporation I350 Gigabit Network Connection\n"
    "\t\tLnkCap:\tPort #0, Speed 5GT/s, Width x4\n\t\tLnkSta:\tSpeed 5GT/s, Width x4\n"
    "\tKernel driver in use: igb\n\n"
)


def _adapters(host: str) -> Iterator[tuple[str, str]]:
    for at in range(8):
        below = f"/sys/class/infiniband/mlx5_{at}"
        yield from {
            f"{below}/fw_ver": "28.39.1002\n",
            f"{below}/board_id": "MT_0000000838\n",
            f"{below}/node_desc": f"{host} mlx5_{at}\n",
            f"{below}/device/uevent": f"DRIVER=mlx5_core\nPCI_SLOT_NAME={slot(at)}\n",
            f"{below}/device/numa_node": f"{at // 4}\n",
            f"{below}/ports/1/link_layer": "InfiniBand\n",
            f"{below}/ports/1/state": "4: ACTIVE\n",
            f"{below}/ports/1/phys_state": "5: LinkUp\n",
            f"{below}/ports/1/rate": "400 Gb/sec (4X NDR)\n",
            f"{below}/ports/1/counters/symbol_error": "0\n",
            f"{below}/ports/1/counters/link_downed": "1\n",
        }.items()


def _roce() -> Iterator[tuple[str, str]]:
    """What adapters have on Ethernet beside that: four addresses each, and an interface."""
    empty = "0000:0000:0000:0000:0000:0000:0000:0000\n"
    for at in range(8):
        below, net = f"/sys/class/infiniband/mlx5_{at}/ports/1", f"/sys/class/net/rdma{at}"
        yield f"{below}/link_layer", "Ethernet\n"
        local = f"fe80:0000:0000:0000:0200:00ff:fe00:00{at:02x}\n"
        mapped = f"0000:0000:0000:0000:0000:ffff:0a01:0{at}01\n"
        for index, gid in enumerate((local, local, mapped, mapped)):
            yield f"{below}/gids/{index}", gid
            yield f"{below}/gid_attrs/types/{index}", ("IB/RoCE v1\n", "RoCE v2\n")[index % 2]
            yield f"{below}/gid_attrs/ndevs/{index}", f"rdma{at}\n"
        yield f"{below}/gids/4", empty
        yield from {
            f"{net}/operstate": "up\n",
            f"{net}/mtu": "9000\n",
            f"{net}/speed": "400000\n",
            f"{net}/device/uevent": f"DRIVER=mlx5_core\nPCI_SLOT_NAME={slot(at)}\n",
        }.items()


def _pfc(at: int) -> str:
    told = " ".join(f"{priority}:{'on' if priority == 3 else 'off'}" for priority in range(8))
    return f"== rdma{at}\nprio-pfc {told} \n"


CHASSIS = (
    '{"local-chassis": [{"chassis": [{"id": [{"type": "mac", "value": "02:00:00:00:00:01"}],'
    ' "name": [{"value": "su-001"}]}]}]}\n'
)


def _network() -> dict[str, str]:
    return {
        "/sys/class/net/lo/operstate": "unknown\n",
        "/sys/class/net/lo/mtu": "65536\n",
        "/sys/class/net/eno1/operstate": "up\n",
        "/sys/class/net/eno1/mtu": "1500\n",
        "/sys/class/net/eno1/speed": "1000\n",
        "/sys/class/net/eno1/device/uevent": "DRIVER=igb\nPCI_SLOT_NAME=0000:02:00.0\n",
    }


def _machine() -> dict[str, str]:
    processors = "\n".join(
        f"processor\t: {at}\nmodel name\t: Intel(R) Xeon(R) Platinum 8480C\n"
        f"physical id\t: {at // 4 % 2}\ncore id\t\t: {at % 4}\n"
        for at in range(16)
    )
    return {
        "/proc/version": "Linux version 6.8.0-60-generic (buildd@lcy02) #63-Ubuntu SMP\n",
        "/proc/cpuinfo": processors,
        "/proc/meminfo": "MemTotal:       2113412345 kB\nMemAvailable:   2000000000 kB\n"
        "SwapTotal:             0 kB\nHugePages_Total:    1024\nHugepagesize:       2048 kB\n",
        "/proc/cmdline": "BOOT_IMAGE=/vmlinuz-6.8.0 root=LABEL=root ro iommu=pt\n",
        "/proc/sys/kernel/osrelease": "6.8.0-60-generic\n",
        "/etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.2 LTS"\n',
        "/proc/modules": "nvidia_peermem 16384 0 - Live 0x0\nnvidia 9000000 8 - Live 0x0\n"
        "mlx5_core 2000000 1 mlx5_ib, Live 0x0\nigb 300000 0 - Live 0x0\n",
        "/proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
        "/proc/self/limits": LIMITS,
        "/proc/mounts": "/dev/sda2 / ext4 rw 0 0\nproc /proc proc rw 0 0\n",
        "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "/sys/kernel/iommu_groups/0/type": "identity\n",
        "/sys/devices/system/node/node0/cpulist": "0-3,8-11\n",
        "/sys/devices/system/node/node1/cpulist": "4-7,12-15\n",
        "/sys/module/mlx5_core/version": "24.10-2.1.8\n",
        "/sys/class/dmi/id/product_name": "DGXH100\n",
        "/lib/modules/6.8.0-60-generic/modules.builtin": "kernel/drivers/nvme/host/nvme-core.ko\n",
    }


LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max open files            1024                 1048576              files     \n"
    "Max locked memory         unlimited            unlimited            bytes     \n"
)
DISKS = """\
{"blockdevices": [
  {"name": "sda", "type": "disk", "size": 960197124096, "fstype": null, "label": null, "uuid": null,
   "mountpoint": null, "children": [
     {"name": "sda2", "type": "part", "size": 959000000000, "fstype": "ext4", "label": "root",
      "uuid": "3f0c2b1e-0000-4000-8000-000000000001", "mountpoint": "/"}]},
  {"name": "nvme0n1", "type": "disk", "size": 3840755982336, "fstype": "xfs", "label": "weights",
   "uuid": "3f0c2b1e-0000-4000-8000-000000000002", "mountpoint": null},
  {"name": "nvme1n1", "type": "disk", "size": "3840755982336", "fstype": null, "label": null,
   "uuid": null, "mountpoint": null}]}
"""
UNITS = """\
ssh.service loaded active running OpenBSD Secure Shell server
nvidia-fabricmanager.service loaded active running NVIDIA fabric manager service
chrony.service loaded inactive dead chrony, an NTP client/server
"""
UNIT_FILES = """\
ssh.service enabled enabled
nvidia-fabricmanager.service enabled enabled
chrony.service disabled enabled
opensm.service disabled enabled
"""


def spoil(tree: Tree, changes: Mapping[str, object]) -> None:
    """Make a healthy host another one, as a case says.

    `files` puts files, or takes them away where their text is null; `replace` changes words in
    files; `answers` puts what commands print, and `answer_words` changes words in it.
    """
    files: dict[str, str | None] = changes.get("files", {})  # type: ignore[assignment]
    for path, text in files.items():
        if text is None:
            for name in [one for one in tree.files if one.startswith(path)]:
                del tree.files[name]
        else:
            tree.files[path] = text
    answers: dict[str, dict[str, object]] = changes.get("answers", {})  # type: ignore[assignment]
    for name, row in answers.items():
        tree.answers[name] = Ran(
            int(str(row.get("code", 0))), str(row.get("out", "")), str(row.get("err", "")), NOW, NOW
        )
    words: dict[str, list[str]] = changes.get("answer_words", {})  # type: ignore[assignment]
    for name, (old, new) in words.items():
        ran = tree.answers[name]
        assert old in ran.out, f"{name} does not print {old!r}"
        tree.answers[name] = Ran(ran.code, ran.out.replace(old, new, 1), ran.err, NOW, NOW + 0.02)


def record_all(folder: Path, text: str = FILE) -> dict[str, Tree]:
    """A healthy cluster, recorded."""
    trees = {host.name: healthy(host.name, host.address) for host in hosts_of(cluster(text))}
    for name, tree in trees.items():
        tree.write(folder / name)
    return trees


def typed(argv: list[str]) -> str:
    """A command as one would type it."""
    return shlex.join(argv)
