"""What programs that talk between GPUs are told of a host's network. Pure.

Left to themselves they take whatever adapter and interface they find first: one of the storage
network, or the one of a container bridge. Each name comes from the cluster's file, so nothing that
is not declared is used.

Sources: docs.nvidia.com/deeplearning/nccl, "Environment Variables" (`=` asks for exact names;
NCCL_CROSS_NIC 0 keeps a ring on one rail, which is what a rail-optimised fabric is wired for;
NCCL_IB_TC is the traffic class, and NCCL_IB_GID_INDEX the entry of the table of addresses, which
from 2.21 on is found by NCCL itself where it is not set); openucx.readthedocs.io, "FAQ"
(UCX_NET_DEVICES, device and port; UCX_IB_GID_INDEX); `ucx_info -cf` (UCX_IB_TRAFFIC_CLASS, which by
itself is 106 with RoCE v2); docs.pytorch.org, "Distributed communication" (GLOO_SOCKET_IFNAME).
"""

from __future__ import annotations

from bare_metal.inventory import Cluster, rails_of

PORT = 1
"""Of an adapter; each has one."""
ECN = 2


def settings_of(cluster: Cluster) -> dict[str, str]:
    """Environment variables by name; the same on every host."""
    devices = [device for _, device in rails_of(cluster)]
    found: dict[str, str] = {}
    if devices and cluster.gpus is not None:
        found["NCCL_IB_HCA"] = "=" + ",".join(devices)
        found["NCCL_CROSS_NIC"] = "0"
        found["UCX_NET_DEVICES"] = ",".join(f"{device}:{PORT}" for device in devices)
        found |= _roce(cluster)
    interface = next((nic.device for nic in cluster.nics if nic.use == "management"), None)
    if interface is not None:
        found["NCCL_SOCKET_IFNAME"] = f"={interface}"
        found["GLOO_SOCKET_IFNAME"] = interface
    return found


def _roce(cluster: Cluster) -> dict[str, str]:
    """What only RoCE needs: the mark of its packets, and which address is used.

    The traffic class is the DSCP in its upper six bits; of the two below, 2 says that a packet may
    be marked in place of dropped (RFC 3168, ECT(0)).
    """
    if cluster.fabric.kind != "roce":
        return {}
    roce = cluster.fabric.roce
    mark = str(roce.dscp << 2 | ECN)
    found = {"NCCL_IB_TC": mark, "UCX_IB_TRAFFIC_CLASS": mark}
    if roce.gid_index != "auto":
        found["NCCL_IB_GID_INDEX"] = found["UCX_IB_GID_INDEX"] = str(roce.gid_index)
    return found


__all__ = ["settings_of"]
