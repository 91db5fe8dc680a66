"""What a gateway's pod does before it ends: `python -m serving.runtime.leave PORT SECONDS`.

Run by Kubernetes before it ends the pod, for whatever reason: an eviction, a drained node, an
update. The gateway tells its clients to connect anew, which leads them to another one, and the pod
waits until nothing is in flight. Standard library only: it starts while streams run.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any

SETTLE = 5.0
"""Seconds in which the endpoint's Service stops to lead here, however idle the gateway is."""
POLL = 0.5


def main(arguments: list[str]) -> int:
    """Leave; always ends well, since the pod ends whatever this says."""
    port, seconds = int(arguments[0]), float(arguments[1])
    began = time.monotonic()
    try:
        _ask(port, "/leave", "POST")
        while (past := time.monotonic() - began) < seconds:
            if past >= SETTLE and not in_flight(_ask(port, "/state", "GET")):
                break
            time.sleep(POLL)
    except (OSError, ValueError) as error:  # the gateway has ended: nothing is in flight
        sys.stderr.write(f"the gateway does not answer: {error}\n")
    return 0


def in_flight(state: dict[str, Any]) -> int:
    """Requests in flight, of every service and release."""
    return sum(
        int(count)
        for service in state["services"].values()
        for count in service["in_flight"].values()
    )


def _ask(port: int, path: str, method: str) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=5.0) as answer:  # noqa: S310
        document: dict[str, Any] = json.load(answer)
    return document


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
