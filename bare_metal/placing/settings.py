"""What programs that talk between GPUs are told of a host's network. Pure.

Left to themselves they take whatever adapter and interface they find first: one of the storage
network, or the one of a container bridge. Each name comes from the cluster's file, so nothing that
is not declared is used.

Sources: docs.nvidia.com/deeplearning/nccl, "Environment Variables" (`=` asks for exact names;
NCCL_CROSS_NIC 0 keeps a ring on one rail, which is what a rail-optimised fabric is wired for);
openucx.readthedocs.io, "FAQ" (UCX_NET_DEVICES, device and port); docs.pytorch.org, "Distributed
communication" (GLOO_SOCKET_IFNAME).
"""

from __future__ import annotations

from bare_metal.inventory import Cluster, rails_of

PORT = 1
"""Of an adapter; each has one."""


def settings_of(cluster: Cluster) -> dict[str, str]:
    """Environment variables by name; the same on every host."""
    devices = [device for _, device in rails_of(cluster)]
    found: dict[str, str] = {}
    if devices and cluster.gpus is not None:
        found["NCCL_IB_HCA"] = "=" + ",".join(devices)
        found["NCCL_CROSS_NIC"] = "0"
        found["UCX_NET_DEVICES"] = ",".join(f"{device}:{PORT}" for device in devices)
    interface = next((nic.device for nic in cluster.nics if nic.use == "management"), None)
    if interface is not None:
        found["NCCL_SOCKET_IFNAME"] = f"={interface}"
        found["GLOO_SOCKET_IFNAME"] = interface
    return found


__all__ = ["settings_of"]
