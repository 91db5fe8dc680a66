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


def of_chat(**told: Any) -> dict[str, Any]:
    return state(services={"chat": told})


def test_the_newest_word_on_a_release_counts_and_says_why() -> None:
    old = {"replicas": 1, "reason": "somebody asked lately", "at": 5.0}
    new = {"replicas": 3, "reason": "25 in flight, 10 per replica", "at": 9.0}
    found = Gateways((Gateway("a", True, of_chat(decisions={"3": new})), Gateway("b", True, None),
                      Gateway("c", True, of_chat(decisions={"3": old}))))  # fmt: skip
    assert found.decision("chat", 3) == new
    assert found.decision("chat", 4) == {}


def test_replicas_that_answer_are_those_that_a_gateway_knows() -> None:
    counts = {"3": {"running": 2, "starting": 1, "stopping": 0}}
    placed = {"chat-r3": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]}
    known = of_chat(replicas=counts) | {"replicas": placed}
    assert Gateways((Gateway("a", True, known),)).running("chat", 3) == 2
    fixed = state(replicas=placed)
    assert Gateways((Gateway("a", True, fixed),)).running("chat", 3) == 3
    assert Gateways((Gateway("a", True, state()),)).running("chat", 3) == 0


def test_a_release_that_grows_is_not_whole_before_all_its_replicas_answer() -> None:
    def asked(running: int, wanted: int | None) -> str | None:
        counts = {"3": {"running": running, "starting": 0, "stopping": 0}}
        decisions = {} if wanted is None else {"3": {"replicas": wanted, "reason": "", "at": 1.0}}
        told = of_chat(replicas=counts, decisions=decisions)
        return Gateways((Gateway("a", True, told),)).missing("chat", 3)

    assert asked(1, 3) == "1 of 3 replicas answer"
    assert (asked(3, 3), asked(3, 2), asked(1, None)) == (None, None, None)
