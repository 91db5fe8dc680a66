"""What a gateway's pod does before it ends: `python -m serving.runtime.leave PORT SECONDS`.

Run by Kubernetes before it ends the pod, for whatever reason: an eviction, a drained node, an
update. The gateway tells its clients to connect anew, which leads them to another one, and the pod
waits until nothing is in flight. Standard library only: it starts while streams run.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

SETTLE = 5.0
"""Seconds in which the endpoint's Service stops to lead here, however idle the gateway is."""
POLL = 0.5


def main(arguments: list[str]) -> int:
    """Leave; always ends well, since the pod ends whatever this says."""
    port, seconds = int(arguments[0]), float(arguments[1])
    began, told = time.monotonic(), False
    while (past := time.monotonic() - began) < seconds:
        try:
            told = told or _told(port)
            if not in_flight(_ask(port, "/state", "GET")) and past >= SETTLE:
                break
        except (OSError, ValueError) as error:
            sys.stderr.write(f"the gateway does not answer: {error}\n")
            if _has_ended(error):
                break
        time.sleep(POLL)
    return 0


def _told(port: int) -> bool:
    """Tell the gateway; whether it has heard, be it that it refuses."""
    try:
        _ask(port, "/leave", "POST")
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"the gateway does not leave: {error}\n")
    return True


def _has_ended(error: Exception) -> bool:
    """Whether nobody listens any more, so that nothing is in flight. A gateway that is slow to
    answer, or answers with an error, may have streams under way: it is asked again."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, ConnectionRefusedError)


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
