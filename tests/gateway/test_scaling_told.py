"""What a gateway tells of replicas: which number a release follows, what a budget pays, and why."""

from __future__ import annotations

from typing import Any

from serving.gateway import GatewayConfig, ReleaseRef, Replicas
from tests.gateway.fakes import LIMITS, Gate

OLD, NEW = ReleaseRef("tiny", 3), ReleaseRef("tiny", 4)


def use(
    gate: Gate, *releases: dict[str, int], scaling: dict[str, Any] | None, **known: Replicas
) -> dict[ReleaseRef, dict[str, Any]]:
    """Have the gateway use a table, and know replicas by release (`r3`); what it then tells."""
    entry: dict[str, Any] = {"releases": list(releases), "limits": LIMITS, "context": 2048}
    entry |= {} if scaling is None else {"scaling": scaling}
    table = {"generation": 2, "keys_version": "1", "services": {"tiny": entry}}
    gate.app.reconfigure(GatewayConfig.parse(table))
    counts = {ReleaseRef("tiny", int(name[1:])): count for name, count in known.items()}
    gate.app.know(counts, 1)
    return gate.app.figures()


def share(release: int, percent: int, **more: int) -> dict[str, int]:
    return {"release": release, "share": percent} | more


def test_a_release_on_its_way_follows_the_one_that_has_the_traffic(gate: Gate) -> None:
    told = use(gate, share(3, 100), share(4, 0), scaling={}, r3=Replicas(2, 1, 4))
    assert told[NEW]["follows"] == 3, "those that start count, and those that end do not"
    assert told[OLD]["follows"] is None


def test_while_it_is_watched_it_still_follows(gate: Gate) -> None:
    told = use(gate, share(3, 90), share(4, 10), scaling={}, r3=Replicas(2))
    assert (told[NEW]["follows"], told[OLD]["follows"]) == (2, None)


def test_with_all_traffic_it_follows_none_and_neither_does_the_one_that_drains(gate: Gate) -> None:
    told = use(gate, share(3, 0), share(4, 100), scaling={}, r3=Replicas(2), r4=Replicas(2))
    assert (told[NEW]["follows"], told[OLD]["follows"]) == (None, None)


def test_what_the_table_says_counts_where_the_one_before_is_not_here(gate: Gate) -> None:
    told = use(gate, share(4, 0, begins=5), scaling={})
    assert told[NEW]["follows"] == 5
    told = use(gate, share(3, 100), share(4, 0, begins=5), scaling={}, r3=Replicas(6))
    assert told[NEW]["follows"] == 6, "it has grown meanwhile"


def test_a_first_release_follows_nobody(gate: Gate) -> None:
    assert use(gate, share(3, 0), scaling={})[OLD]["follows"] == 0


def test_a_release_that_begins_to_follow_the_load_is_told_of_beside_one_that_does_not(
    gate: Gate,
) -> None:
    told = use(gate, share(3, 100), share(4, 0, begins=3), scaling=None, r3=Replicas(3))
    assert {one: figures["follows"] for one, figures in told.items()} == {NEW: 3}


def test_what_a_budget_pays_for_is_told_with_whose_it_is(gate: Gate) -> None:
    ceiling = {"replicas": 3, "by": "acme"}
    assert use(gate, share(3, 100), scaling={"ceiling": ceiling})[OLD]["ceiling"] == ceiling
    assert use(gate, share(3, 100), scaling={})[OLD]["ceiling"] is None


def test_whoever_asks_the_gateway_sees_what_was_decided_and_why(gate: Gate) -> None:
    use(gate, share(3, 100), scaling={}, r3=Replicas(2))
    assert gate.app.state()["services"]["tiny"]["decisions"] == {}
    decision = {"replicas": 3, "reason": "25 in flight, 10 per replica", "at": 7.0}
    gate.app.scaling.decided({OLD: decision})
    assert gate.app.state()["services"]["tiny"]["decisions"] == {"3": decision}
