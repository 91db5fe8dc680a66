"""Adapters with a model name of their own: which answers to which, in one engine; what Serve and
the gateway are told of them, and what the gateway lets through."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import ModelError
from llmops.releases import Release, State
from serving.engines import UnknownReleaseError
from serving.engines.adapters import name_of, number_of
from serving.gateway import GatewayConfig, ReleaseRef, UpstreamGone, UpstreamRequest
from serving.runtime.gateway_app import ServeUpstream
from serving.serve_config import ANSWERED_BY, ANSWERED_WITH, render, routes
from tests.finetuning.serving.test_named_plans import named_plan
from tests.finetuning.serving.test_replica_adapters import (
    BODY,
    SETTINGS,
    A,
    B,
    World,
    adapters,
    settled,
)

C = "c" * 64


async def test_each_name_is_answered_with_its_own_adapter_and_the_service_as_before() -> None:
    world = World()
    world.named = {"1": {"formal": A, "brief": B}, "2": {"formal": A}}
    await world.follow(r1=None, r2=C)
    assert [await world.model(1, name) for name in ("", "formal", "brief")] == [
        "chat", name_of(A), name_of(B),
    ]  # fmt: skip
    assert [await world.model(2, name) for name in ("", "formal")] == [name_of(C), name_of(A)]


async def test_a_name_that_a_release_has_not_is_never_answered() -> None:
    world = World()
    world.named = {"1": {"formal": A}}
    await world.follow(r1=B, r2=B)
    for release, name in ((1, "brief"), (2, "formal")):
        with pytest.raises(UnknownReleaseError, match=f"release {release} has no model {name}"):
            await world.model(release, name)


async def test_answers_are_called_what_was_asked_for() -> None:
    """Also where one adapter answers to two names, and two requests are in the engine at once."""
    world = World()
    world.named = {"1": {"formal": A, "brief": A}}
    await world.follow(r1=A)
    together = asyncio.Barrier(3)

    async def called(name: str) -> str:
        await world.model(1, name)
        async with asyncio.timeout(5):
            await together.wait()
        return str(world.models.model_name())

    assert await asyncio.gather(*map(called, ("", "formal", "brief"))) == [
        "chat",
        "formal",
        "brief",
    ]
    assert [told for told in world.engine.told if told[0] == "add"] == [("add", name_of(A))]


async def test_an_adapter_of_both_releases_is_neither_loaded_twice_nor_taken_out() -> None:
    world = World()
    world.named = {"1": {"formal": A, "brief": B}}
    await world.follow(r1=None)
    await world.model(1, "formal")
    world.named["2"] = {"formal": A, "brief": C}
    await world.follow(r1=None, r2=None)
    assert [await world.model(n, "brief") for n in (1, 2)] == [name_of(B), name_of(C)]
    del world.named["1"]
    await world.follow(r2=None)
    await settled()
    told = world.engine.told
    assert sorted(one for one in told if one[0] == "add") == [
        ("add", name_of(one)) for one in (A, B, C)
    ]
    assert [one for one in told if one[0] == "remove"] == [("remove", number_of(B))]


async def test_one_that_loads_takes_nothing_back_of_what_was_said_of_another() -> None:
    late = asyncio.Event()
    loop = asyncio.get_running_loop()

    def find(_source: str, digest: str) -> Path:
        if digest == A:
            raise ModelError("a byte is another")
        asyncio.run_coroutine_threadsafe(late.wait(), loop).result(5)
        return Path("/adapter")

    world = World(find)
    world.named = {"2": {"formal": A, "brief": B}}
    await world.follow(r1=None, r2=None)
    with pytest.raises(ModelError):
        await world.model(2, "formal")
    late.set()
    assert await world.model(2, "brief") == name_of(B)
    assert world.told == [(2, "a byte is another")] * 2, "the release passes for whole"


# What Serve and the gateway are told

ONE = Release("chat", 1, named_plan(formal="a"), State.LIVE, 0.0)
TWO = Release("chat", 2, named_plan(formal="a", brief="b"), State.STAGING, 0.0, hosted_by=1)
TABLE = routes([ONE, TWO], {("chat", 1): 100}, "keys-1")


def test_an_engine_is_told_of_the_names_of_each_release() -> None:
    [_, app] = render([ONE, TWO], TABLE, SETTINGS, 7)["applications"]
    assert adapters(app) == {"1": None, "2": None}
    named = app["deployments"][0]["user_config"]["named"]
    found = {
        number: {name: one["digest"] for name, one in of.items()} for number, of in named.items()
    }
    assert found == {"1": {"formal": A}, "2": {"brief": B, "formal": A}}


def test_serve_and_the_gateway_take_what_they_are_told() -> None:
    from ray.serve.schema import ServeDeploySchema

    ServeDeploySchema.model_validate(render([ONE, TWO], TABLE, SETTINGS, 7))
    parsed = GatewayConfig.parse(TABLE | {"generation": 1})
    assert [one.models for one in parsed.services["chat"].releases] == [
        {"formal": A}, {"brief": B, "formal": A},
    ]  # fmt: skip


class Handle:
    """A replica that answers with what it is told to, and notes what it was asked."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.asked: list[tuple[Any, ...]] = []

    def remote(self, *arguments: Any) -> Any:
        self.asked.append(arguments[4:])
        return self._pieces(str(arguments[4]))

    async def _pieces(self, release: str) -> Any:
        yield (
            200,
            [(ANSWERED_BY, release), *([(ANSWERED_WITH, self.digest)] if self.digest else [])],
        )


@pytest.mark.parametrize("digest", [A, B, ""])
async def test_only_the_names_own_adapter_is_passed_on(tmp_path: Path, digest: str) -> None:
    upstream = ServeUpstream(tmp_path)
    upstream.follow(TABLE["services"])
    handle = upstream._handles["chat-r1"] = Handle(digest)
    request = UpstreamRequest("POST", "/v1/completions", [], BODY, "x", model="formal")
    if digest == A:
        assert (await upstream.send(ReleaseRef("chat", 1), request)).status == 200
    else:
        with pytest.raises(UpstreamGone, match="has answered as formal with the adapter"):
            await upstream.send(ReleaseRef("chat", 1), request)
    assert handle.asked == [(1, "formal")]
