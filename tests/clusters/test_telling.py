"""What a cluster shows of a service's releases, also when not everything answers."""

from __future__ import annotations

from typing import Any

from clusters.gateways import Gateway, Gateways
from clusters.live import read_live
from clusters.telling import seen, status
from llmops.releases import Phase
from serving.serve_config import application_name
from tests.clusters.test_desired import HISTORY, serving, shown


def state(share: int = 100, in_flight: int = 0) -> dict[str, Any]:
    table = {"releases": {"1": share}, "in_flight": {"1": in_flight}}
    return {"generation": 2, "services": {"chat": table}}


def test_a_release_has_the_share_that_every_gateway_gives_it() -> None:
    live = read_live("chat", *shown(serving()))
    both = Gateways((Gateway("a", True, state()), Gateway("b", True, state(share=0))))
    (release,) = seen(live, lambda _: both)
    assert (release.number, release.share, release.phase) == (1, 0, Phase.STARTING)


def test_a_release_that_a_gateway_has_not_heard_of_is_not_there() -> None:
    """The command that would have waited for the gateways was killed."""
    rayservices, door = shown(serving())
    told = {application_name("chat", 1): {"status": "RUNNING"}}
    rayservices[0]["status"] = {"activeServiceStatus": {"applicationStatuses": told}}
    live = read_live("chat", rayservices, door)
    knows, not_yet = Gateway("a", True, state()), Gateway("b", True, {"generation": 1})
    for other, phase in (
        (knows, Phase.READY),
        (not_yet, Phase.STARTING),
        (Gateway("c", True, None), Phase.READY),
    ):
        both = Gateways((knows, other))
        [release] = seen(live, {runtime.id: both for runtime in live.runtimes}.__getitem__)
        assert release.phase is phase


def test_requests_in_flight_are_those_of_all_gateways() -> None:
    live = read_live("chat", *shown(serving()))
    both = Gateways(
        (Gateway("a", True, state(in_flight=2)), Gateway("b", True, state(in_flight=1)))
    )
    assert seen(live, lambda _: both)[0].in_flight == 3


def test_a_gateway_that_does_not_answer_may_be_at_an_answer() -> None:
    live = read_live("chat", *shown(serving()))
    both = Gateways((Gateway("a", True, state()), Gateway("b", True, None)))
    assert seen(live, lambda _: both)[0].in_flight > 0


def test_status_tells_how_many_replicas_there_are_to_be_and_why() -> None:
    live = read_live("chat", *shown(serving()))
    decision = {"replicas": 3, "reason": "25 in flight, 10 per replica", "at": 9.0, "startup": 41.5}
    told = state()
    told["services"]["chat"] |= {"decisions": {"1": decision}}
    both = Gateways((Gateway("a", True, told), Gateway("b", True, state())))
    releases = HISTORY.releases[:1]
    [one] = status("chat", "http://chat/v1", releases, live, lambda _: both).releases
    assert (one.wanted, one.scaling, one.startup) == (3, "25 in flight, 10 per replica", 41.5)
    silent = Gateways((Gateway("a", True, None),))
    [one] = status("chat", "http://chat/v1", releases, live, lambda _: silent).releases
    assert (one.wanted, one.scaling, one.startup) == (None, "", None)


def test_a_runtime_that_is_not_the_one_clients_reach_has_no_share() -> None:
    rayservices, _ = shown(serving())
    live = read_live("chat", rayservices, None)
    assert seen(live, lambda _: Gateways((Gateway("a", True, state()),)))[0].share == 0


def test_shadows_are_those_of_all_gateways() -> None:
    live = read_live("chat", *shown(serving()))
    told = state()
    counted = {"requests": 2, "failures": 1, "empty": 0, "truncated": 0, "ttft": {}}
    told["services"]["chat"] |= {"shadow": {"sent": 2, "releases": {"1": counted}}}
    both = Gateways((Gateway("a", True, told), Gateway("b", True, told)))
    [one] = status("chat", "http://chat/v1", HISTORY.releases[:1], live, lambda _: both).releases
    assert one.shadowed is not None
    assert (one.shadowed.requests, one.shadowed.failures) == (4, 2)
