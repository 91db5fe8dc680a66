"""Which replica a session takes, by Serve's own routing loop over replicas that are none."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, RequestMetadata
from ray.serve.request_router import PendingRequest, ReplicaID

from serving.runtime.sessions import SessionRouter

DEPLOYMENT = DeploymentID("replica", "chat-r3")
AT_ONCE = 8
MANY = 1024


class Fake:
    """A replica of which only the queue is there, told after a while; never where it is dead."""

    node_id, availability_zone = "node", None
    max_ongoing_requests = MANY
    multiplexed_model_ids: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        self.replica_id = ReplicaID(name, DEPLOYMENT)
        self.queue = 0
        self.after = 0.0
        self.dead = False

    async def get_queue_len(self, *, deadline_s: float) -> int:
        await asyncio.sleep(10 * deadline_s if self.dead else self.after)
        return self.queue


def router_of(replicas: list[Fake], *, cached: bool = True, **kwargs: Any) -> SessionRouter:
    router = SessionRouter(
        deployment_id=DEPLOYMENT,
        handle_source=DeploymentHandleSource.REPLICA,
        self_node_id="node",
        use_replica_queue_len_cache=cached,
        initial_backoff_s=0.001,
    )
    router.initialize_state(**kwargs)
    router.update_replicas(replicas)
    return router


@pytest.fixture
async def replicas() -> list[Fake]:
    return [Fake(name) for name in "abcd"]


_asked = iter(range(10**9))


async def ask(router: SessionRouter, session: str = "") -> str:
    """The replica that Serve's loop takes for one request."""
    number = f"request-{next(_asked)}"
    pending = PendingRequest(
        [], {}, RequestMetadata(request_id=number, internal_request_id=number, session_id=session)
    )
    async with asyncio.timeout(5):
        found = await router._choose_replica_for_request(pending)
    return str(found.replica_id.unique_id)


SESSIONS = [f"{number:032x}" for number in range(200)]


async def where(router: SessionRouter) -> dict[str, str]:
    return {session: await ask(router, session) for session in SESSIONS}


async def test_a_session_keeps_its_replica_at_every_handle(replicas: list[Fake]) -> None:
    router = router_of(replicas)
    found = await where(router)
    assert await where(router) == found
    assert await where(router_of(replicas[::-1])) == found


async def test_sessions_are_spread_evenly(replicas: list[Fake]) -> None:
    counts = Counter((await where(router_of(replicas))).values())
    assert set(counts) == set("abcd")
    assert max(counts.values()) < 2 * min(counts.values())


async def test_of_many_at_once_each_gets_the_replica_of_its_own_session(
    replicas: list[Fake],
) -> None:
    alone = await where(router_of(replicas))
    for number, one in enumerate(replicas):
        one.after = number / 500  # so that who asked first is not the first to be told
    router = router_of(replicas, cached=False)
    mixed = [one for session in SESSIONS[:40] for one in (session, "", session)]
    found = await asyncio.gather(*(ask(router, session) for session in mixed))
    got = {(session, name) for session, name in zip(mixed, found, strict=True) if session}
    assert got == {(session, alone[session]) for session in SESSIONS[:40]}


async def test_where_a_replica_goes_only_its_sessions_move(replicas: list[Fake]) -> None:
    router = router_of(replicas)
    before = await where(router)
    router.on_replica_actor_died(replicas[0].replica_id)
    after = await where(router)
    assert "a" not in after.values()
    assert {s: name for s, name in before.items() if name != "a"}.items() <= after.items()


async def test_a_new_replica_takes_sessions_and_none_moves_elsewhere(replicas: list[Fake]) -> None:
    before = await where(router_of(replicas[:3]))
    after = await where(router_of(replicas))
    moved = {session for session in SESSIONS if before[session] != after[session]}
    assert moved
    assert {after[session] for session in moved} == {"d"}
    assert len(moved) < len(SESSIONS) / 2


async def test_a_replica_that_does_not_answer_is_passed_over(replicas: list[Fake]) -> None:
    router = router_of(replicas)
    session = SESSIONS[0]
    own = await ask(router, session)
    [lost] = [one for one in replicas if one.replica_id.unique_id == own]
    lost.dead = True
    router.on_replica_actor_unavailable(lost.replica_id)
    assert await ask(router, session) != own
    lost.dead = False
    assert await ask(router, session) == own


async def test_a_replica_that_works_on_enough_is_passed_over(replicas: list[Fake]) -> None:
    router = router_of(replicas, at_once=AT_ONCE)
    session = SESSIONS[0]
    own = await ask(router, session)
    [home] = [one for one in replicas if one.replica_id.unique_id == own]
    router.on_new_queue_len_info(home.replica_id, AT_ONCE - 1)
    assert await ask(router, session) == own
    router.on_new_queue_len_info(home.replica_id, AT_ONCE)
    second = await ask(router, session)
    assert second != own
    for one in replicas:
        router.on_new_queue_len_info(one.replica_id, 2 * AT_ONCE)
    router.on_new_queue_len_info(replicas[0].replica_id, AT_ONCE + 1)
    assert await ask(router, session) == "a", "where all have enough, the least loaded takes it"


async def test_without_a_session_the_less_loaded_of_two_takes_it(replicas: list[Fake]) -> None:
    router = router_of(replicas)
    assert {await ask(router) for _ in range(100)} == set("abcd")
    for load, one in enumerate(replicas):
        router.on_new_queue_len_info(one.replica_id, load)
    found = Counter([await ask(router) for _ in range(100)])
    assert "d" not in found
    assert found["a"] > found["c"]
