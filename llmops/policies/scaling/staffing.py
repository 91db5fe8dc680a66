"""How many replicas a load needs by what one takes at once: the square-root rule. Pure.

Requests that come at random are sometimes more than their mean, by about its square root. So the
room above the mean that is needed grows with the square root of the load: a fixed share of it would
be too much for many replicas and too little for few (square-root staffing: Halfin and Whitt,
Operations Research 29, 1981).

The unit of load is the full replica. A batch's step takes longer the larger it is, so the same
arrivals are fewer requests at a time on more replicas; counted as they are seen, the number needed
would depend on the number there is, and each would call for the other in turn.
"""

from __future__ import annotations

import math

ROOM = 0.5
"""Standard deviations of the requests at a time for which there is room. Few: those above it wait
for a part of one answer, which an objective of the first token mostly allows, and the reserve is
raised where it does not."""
SLOWER = 1.0
"""By how much longer a step with a full batch takes than one with a single request, as a share: a
round guess between those of small batches, which hardly slow down, and of large ones."""


def offered(in_flight: float, running: int, capacity: int) -> float:
    """The work that so many requests at a time are, in full replicas; at most all of them.

    Args:
        in_flight: Requests at a time.
        running: Replicas that they are spread over.
        capacity: Requests that one replica works on at once.
    """
    if not running or not capacity:
        return 0.0
    share = min(in_flight / (running * capacity), 1.0)
    return running * share * (1 + SLOWER) / (1 + SLOWER * share)


def staffed(work: float, capacity: int) -> int:
    """The fewest replicas for a load: never fewer for more.

    Args:
        work: The load, in full replicas.
        capacity: Requests that one replica works on at once.
    """
    least = math.ceil(work - 1e-9)
    if least <= 0:
        return 0
    # Room for the square root of the load is never more than for the load itself.
    most = least + 1 + math.ceil(work)
    return next((count for count in range(least, most) if _fits(work, count, capacity)), most)


def _fits(work: float, replicas: int, capacity: int) -> bool:
    busy = work / replicas
    share = busy / (1 + SLOWER - SLOWER * busy)
    requests = replicas * capacity * share
    return requests + ROOM * math.sqrt(requests) <= replicas * capacity
