"""A further node of a Ray whose head is elsewhere.

Run as `python -m serving.runtime.node HOME HEAD ADDRESS`: the home of this machine, where the head
is (host and port), and this machine's own address. Ray's own command for that refuses loopback
addresses, and notes the cluster where any Ray of the machine would find it. Every process of the
node ends with this one, and this one when any of them does.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from serving.runtime.host import OBJECT_STORE
from serving.runtime.paths import RuntimePaths
from serving.serve_config import REPLICA_RESOURCE

LOOK = 1.0
"""Seconds between two looks whether all of the node's processes live."""

log = logging.getLogger("llmops.node")


def main() -> None:
    """Join, and stay until a process of the node has ended."""
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    paths, head, address = RuntimePaths(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
    parameters = RayParams(
        gcs_address=head,
        node_ip_address=address,
        temp_dir=str(paths.ray),
        num_cpus=max(2, os.cpu_count() or 2),
        resources={REPLICA_RESOURCE: 1},
        object_store_memory=OBJECT_STORE,
        min_worker_port=0,
        max_worker_port=0,
        node_manager_port=0,
        include_log_monitor=False,
    )
    parameters.dashboard_agent_listen_port = None  # any: the head's agent may be on this machine
    node = Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=True)
    paths.node.write_text(node.node_id)
    paths.joined.write_text(head)
    log.info("joined %s", head)
    while not node.dead_processes():
        time.sleep(LOOK)
    log.info("ended: %s", [kind for kind, _ in node.dead_processes()])
    sys.exit(1)


if __name__ == "__main__":
    main()
