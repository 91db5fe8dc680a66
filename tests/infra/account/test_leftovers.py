"""What belongs to no stack, and what machines cost. Values only."""

from __future__ import annotations

from infra.account import Thing, costs, leftovers

PRICES = {("p5.48xlarge", "on_demand"): 55.0, ("g6e.xlarge", "spot"): 0.9}


def price(machine: str, market: str) -> float | None:
    return PRICES.get((machine, market))


def thing(kind: str, name: str, stack: str = "chat", **more: str) -> Thing:
    return Thing(f"arn:{name}", kind, name, {"llmops:stack": stack}, **more)  # type: ignore[arg-type]


GROUP = thing("autoscaling:group", "chat-gpu-9f")
STARTED = thing("ec2:instance", "i-1", owner="chat-gpu-9f", machine="p5.48xlarge")
DISK = thing("ec2:volume", "vol-1", owner="i-1")
LOST = thing("ec2:instance", "i-2", machine="p5.48xlarge")
LOST_DISK = thing("ec2:volume", "vol-2", owner="i-2")
FOREIGN = thing("ec2:instance", "i-3", "old", machine="p9.large")


def test_what_a_held_thing_has_started_is_held_and_the_rest_is_left_over() -> None:
    held = {"chat": frozenset({"chat-gpu-9f"})}
    found = leftovers((DISK, STARTED, GROUP, LOST, LOST_DISK, FOREIGN), held, "file:///b", price)
    told = {one.priced.thing.id: (one.priced.usd_per_hour, one.why) for one in found}
    assert told == {
        "i-2": (55.0, "stack chat does not hold it"),
        "vol-2": (None, "stack chat does not hold it"),
        "i-3": (None, "no stack old in file:///b"),
    }


def test_nothing_is_left_over_where_every_thing_is_held() -> None:
    held = {"chat": frozenset({"chat-gpu-9f", "arn:i-2"})}
    assert leftovers((GROUP, STARTED, DISK, LOST, LOST_DISK), held, "b", price) == ()


def test_without_any_stack_everything_is_left_over() -> None:
    assert len(leftovers((GROUP, STARTED), {}, "b", price)) == 2


def test_cost_adds_up_running_machines_by_release_the_dearest_first() -> None:
    def machine(spec: str, kind: str, market: str = "on_demand") -> Thing:
        tags = {"llmops:stack": "chat", "llmops:service": "chat", "llmops:spec": spec}
        return Thing("arn", "ec2:instance", "i", tags, machine=kind, market=market)

    stopped = Thing("arn", "ec2:instance", "i", {"llmops:spec": "a"})
    found = costs(
        [machine("a", "g6e.xlarge", "spot"), machine("b", "p5.48xlarge"),
         machine("b", "p5.48xlarge"), machine("b", "x.unknown"), stopped], price,
    )  # fmt: skip
    assert [(cost.release, cost.usd_per_hour) for cost in found] == [("b", 110.0), ("a", 0.9)]
    assert found[0].machines == {"p5.48xlarge": 2, "x.unknown": 1}
    assert found[0].unpriced == ("x.unknown",)
    assert found[0].usd_per_month == 110.0 * 730
