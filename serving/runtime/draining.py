"""Have a further node's replicas go elsewhere before it ends; run as a program of its own.

`python -m serving.runtime.draining HEAD NODE`: where the head is (host and port), and the node's
own id. Ray then places nothing more on the node, and Serve starts another replica for each one
there before it ends that one, once its requests are answered. Who runs this waits for that and
ends the node: see `raylet`.

No deadline is told: near one, Serve ends replicas whether others have started or not (Ray's
`deployment_state.py`, `_partition_groups_to_stop`).

Ray's own command for it (`ray drain-node`) does not take the address of a head that is not noted on
the machine. Ray calls the reason a preemption: it accepts that one whatever runs on the node.
"""

from __future__ import annotations

import sys

PREEMPTION = 2
"""`DRAIN_NODE_REASON_PREEMPTION` in Ray's autoscaler.proto."""
NO_DEADLINE = 0
MESSAGE = "llmops: this machine leaves"


def main() -> int:
    """Ask; what Ray says against it goes to standard error."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled: it has no types

    head, node = sys.argv[1:3]
    accepted, why = GcsClient(address=head).drain_node(node, PREEMPTION, MESSAGE, NO_DEADLINE)
    if not accepted:
        sys.stderr.write(f"{why}\n")
    return 0 if accepted else 1


if __name__ == "__main__":
    sys.exit(main())
