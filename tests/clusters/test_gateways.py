"""What gateways have taken over, and which pods count as gateways at all."""

from __future__ import annotations

from typing import Any

from clusters.gateways import Gateway, Gateways, holding


def state(generation: int = 5, **more: Any) -> dict[str, Any]:
    return {"generation": generation, "keys_version": "3", "services": {}, **more}


def test_a_gateway_that_is_behind_is_named_if_it_may_get_clients() -> None:
    found = Gateways((Gateway("a", True, state()), Gateway("b", True, state(4)),
                      Gateway("c", False, state(4))))  # fmt: skip
    assert found.behind(5) == ("b",)
    assert found.behind(4) == ()


def test_one_that_does_not_answer_is_behind_and_silent() -> None:
    found = Gateways((Gateway("a", True, None),))
    assert (found.behind(1), found.silent, found.without_keys("3")) == (("a",), ("a",), ("a",))


def test_a_pod_that_holds_no_gateway_is_not_waited_for() -> None:
    told = state(replicas={"llmops-gateway": ["10.0.0.1", "10.0.0.3"]})
    found = holding(
        Gateways(
            (
                Gateway("holds", True, told, "10.0.0.1"),
                Gateway("empty", True, None, "10.0.0.2"),
                Gateway("silent", True, None, "10.0.0.3"),
            )
        )
    )
    assert [pod.pod for pod in found.pods] == ["holds", "silent"]


def test_when_nobody_tells_where_gateways_are_every_pod_counts() -> None:
    told = state(replicas=None)
    both = Gateways((Gateway("a", True, told, "10.0.0.1"), Gateway("b", True, None, "10.0.0.2")))
    assert holding(both) == both
