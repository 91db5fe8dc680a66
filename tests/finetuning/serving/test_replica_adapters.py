"""Which adapter answers for which release in one engine, and what Serve and the gateway are told.

The engine is a double that notes what it is told; the real one: `test_hot_load`, `test_caches`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from llmops.errors import ModelError
from llmops.releases import Release, State
from serving.engines import Adapters, UnknownReleaseError
from serving.engines import adapters as module
from serving.engines.adapters import name_of, number_of
from serving.gateway import GatewayConfig, ReleaseRef, UpstreamGone, UpstreamRequest
from serving.runtime.gateway_app import Gateway, ServeUpstream, _check_answered
from serving.serve_config import RuntimeSettings, render, routes
from tests.finetuning.serving.test_adapter_plans import FIRST, planned, with_adapter
from tests.planning.worlds import deployment

A, B = "a" * 64, "b" * 64
BODY = json.dumps({"model": "chat", "prompt": "x"}).encode()


class Engine:
    """What an engine would be told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | int]] = []
        self.gate: asyncio.Event | None = None

    async def add_lora(self, request: Any) -> bool:
        if self.gate is not None:
            await self.gate.wait()
        self.told.append(("add", request.lora_name))
        return True

    async def remove_lora(self, number: int) -> bool:
        self.told.append(("remove", number))
        return True


class World:
    """One engine and its adapters."""

    def __init__(self, find: Callable[[str, str], Path] | None = None) -> None:
        self.engine = Engine()
        self.models = SimpleNamespace(lora_requests={}, model_name=None)
        self.named: dict[str, dict[str, str]] = {}
        """By release: the digests of adapters with a model name of their own."""
        self.told: list[tuple[int, str]] = []
        app = SimpleNamespace(state=SimpleNamespace(openai_serving_models=self.models))
        self.adapters = Adapters(
            self.engine, app, "chat", find or (lambda _source, _digest: Path("/adapter")),
            lambda release, why: self.told.append((release, why)),
            lambda name, _number, _folder: SimpleNamespace(lora_name=name),
        )  # fmt: skip

    async def follow(self, **told: str | None) -> None:
        await self.adapters.follow(
            {
                number.removeprefix("r"): {"source": "run://style/1", "digest": digest}
                if digest
                else None
                for number, digest in told.items()
            },
            {
                number: {
                    name: {"source": "run://style/1", "digest": digest}
                    for name, digest in named.items()
                }
                for number, named in self.named.items()
            },
        )

    async def model(self, release: int, name: str = "") -> str:
        body, digest = await self.adapters.body(release, BODY, name)
        found = json.loads(body)
        assert found["prompt"] == "x"
        assert found["model"] == (name_of(digest) if digest else "chat")
        return str(found["model"])


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0.001)


async def test_each_release_is_answered_with_its_own_adapter() -> None:
    world = World()
    await world.follow(r1=None, r2=A, r3=B)
    assert [await world.model(n) for n in (1, 2, 3)] == ["chat", name_of(A), name_of(B)]
    assert world.models.model_name() == "chat", "what the engine calls it is told to clients"


async def test_a_release_waits_for_its_adapter_and_others_do_not() -> None:
    world = World()
    world.engine.gate = asyncio.Event()
    await world.follow(r1=None, r2=A)
    waits = asyncio.create_task(world.model(2))
    assert await world.model(1) == "chat"
    assert not waits.done()
    world.engine.gate.set()
    assert await waits == name_of(A)
    assert world.engine.told == [("add", name_of(A))]


async def test_a_release_that_is_told_of_later_is_waited_for() -> None:
    world = World()
    await world.follow(r1=None)
    waits = asyncio.create_task(world.model(2))
    await asyncio.sleep(0)
    await world.follow(r1=None, r2=A)
    assert await waits == name_of(A)


async def test_a_release_that_is_unknown_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLD_WITHIN", 0.01)
    world = World()
    await world.follow(r1=None, r2=A)
    await world.follow(r1=None)
    with pytest.raises(UnknownReleaseError, match="not told of release 2"):
        await world.model(2)


async def test_an_adapter_goes_with_the_last_release_that_has_it() -> None:
    world = World()
    await world.follow(r1=None, r2=A, r3=A, r4=B)
    await world.model(4)
    await world.follow(r3=A, r4=B)
    await settled()
    assert ("remove", number_of(A)) not in world.engine.told
    assert await world.model(3) == name_of(A)
    await world.follow(r4=B)
    await settled()
    assert [told for told in world.engine.told if told[0] == "remove"] == [("remove", number_of(A))]
    assert set(world.models.lora_requests) == {name_of(B)}


async def test_an_adapter_that_cannot_be_loaded_is_told_and_tried_again() -> None:
    broken = [True]

    def find(_source: str, _digest: str) -> Path:
        if broken[0]:
            raise ModelError("a byte is another")
        return Path("/adapter")

    world = World(find)
    await world.follow(r1=None, r2=A)
    with pytest.raises(ModelError):
        await world.model(2)
    assert world.told[0] == (2, "a byte is another")
    assert await world.model(1) == "chat", "the release beside it answers on"
    broken[0] = False
    assert await world.model(2) == name_of(A)
    assert world.told[-1] == (2, ""), "what was said of it still stands"


def test_names_and_numbers_are_the_digests() -> None:
    assert name_of(A) != name_of(B)
    assert 1 <= number_of("f" * 64) <= 2**31 - 1
    assert number_of("0" * 64) == 1
    assert number_of(A) != number_of(B)


# What Serve and the gateway are told

ONE = Release("chat", 1, FIRST, State.RETIRED, 0.0)
TWO = Release("chat", 2, with_adapter("a"), State.LIVE, 0.0, hosted_by=1)
THREE = Release("chat", 3, with_adapter("b"), State.STAGING, 0.0, hosted_by=1)
SETTINGS = RuntimeSettings(home="/state", host="127.0.0.1", port=8000, metrics_port=9000)


def config(releases: list[Release], hosts: list[Release]) -> dict[str, Any]:
    table = routes(releases, {("chat", 2): 100}, "keys-1")
    return render(releases, table, SETTINGS, 7, hosts)


def applications(releases: list[Release], hosts: list[Release]) -> dict[str, Any]:
    return {app["name"]: app for app in config(releases, hosts)["applications"]}


def adapters(application: dict[str, Any]) -> Any:
    [replica] = application["deployments"]
    return replica["user_config"]["adapters"]


def test_one_application_answers_for_all_releases_of_its_engine() -> None:
    found = applications([ONE, TWO, THREE], [ONE, ONE])
    assert set(found) == {"llmops-gateway", "chat-r1"}
    assert adapters(found["chat-r1"]) == {
        "1": None,
        "2": {"source": "run://style/3", "digest": A},
        "3": {"source": "run://style/3", "digest": B},
    }


def test_an_engine_stays_as_long_as_another_release_needs_it_and_is_not_started_anew() -> None:
    both, left = applications([ONE, TWO], [ONE]), applications([TWO], [ONE])
    assert adapters(left["chat-r1"]) == {"2": {"source": "run://style/3", "digest": A}}
    for app in (both["chat-r1"], left["chat-r1"]):
        del app["deployments"][0]["user_config"]
    assert both["chat-r1"] == left["chat-r1"], "Serve would start it anew"
    assert set(applications([], [])) == {"llmops-gateway"}


def test_the_gateway_is_told_whose_engine_answers() -> None:
    table = routes([TWO, THREE], {("chat", 2): 100}, "keys-1")
    listed = table["services"]["chat"]["releases"]
    assert [entry.get("engine") for entry in listed] == [1, 1]
    parsed = GatewayConfig.parse(table | {"generation": 1})
    assert [share.engine for share in parsed.services["chat"].releases] == [1, 1]
    upstream = ServeUpstream(Path("deaths"))
    upstream.follow(table["services"])
    assert upstream._engines == {ReleaseRef("chat", 2): 1, ReleaseRef("chat", 3): 1}


def test_serves_own_schema_takes_it() -> None:
    from ray.serve.schema import ServeDeploySchema

    ServeDeploySchema.model_validate(config([TWO, THREE], [ONE]))


def test_an_engine_without_room_is_told_nothing_of_adapters() -> None:
    bare = Release(
        "chat", 1, planned(None, model={"source": "hf://published/model"}), State.LIVE, 0
    )
    [replica] = applications([bare], [])["chat-r1"]["deployments"]
    assert "user_config" not in replica
    assert deployment().engine.adapter_rank == 0


@pytest.mark.parametrize("told", ["1", None])
def test_an_answer_of_another_release_is_not_passed_on(told: str | None) -> None:
    headers = [("x-llmops-answered-by", told)] if told else []
    with pytest.raises(UpstreamGone, match="has answered for release 2"):
        _check_answered(ReleaseRef("chat", 2), headers)
    _check_answered(ReleaseRef("chat", 2), [("x-llmops-answered-by", "2")])


async def test_a_release_is_named_only_to_an_engine_that_answers_for_several() -> None:
    """A replica that an earlier version has started takes none, and names none in its answer."""
    asked: list[tuple[Any, ...]] = []

    class Handle:
        def remote(self, *arguments: Any) -> Any:
            asked.append(arguments[4:])
            return self._pieces(arguments[4:])

        async def _pieces(self, release: tuple[int, ...]) -> Any:
            yield 200, [("x-llmops-answered-by", str(*release))] if release else []

    upstream = ServeUpstream(Path("deaths"))
    upstream.follow({"chat": {"releases": [{"release": 1}, {"release": 2, "engine": 1}]}})
    upstream._handles["chat-r1"] = Handle()
    request = UpstreamRequest("POST", "/v1/completions", [], BODY, "x")
    for number in (1, 2):
        answer = await upstream.send(ReleaseRef("chat", number), request)
        assert answer.status == 200
    assert asked == [(), (2,)]


async def test_a_release_that_fails_at_the_gateways_own_question_ends_no_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Serve restarts a gateway of which a task has ended, and with it what serves every other."""
    failures = [
        RayTaskError("handle", "", error).as_instanceof_cause()
        for error in (ModelError("a byte"), UnknownReleaseError("not told of release 2"))
    ]

    async def at_once(_seconds: float) -> None:
        return None

    async def generate(_release: ReleaseRef) -> None:
        raise failures.pop() if failures else asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", at_once)
    quiet = SimpleNamespace(quiet=lambda _seconds: [ReleaseRef("chat", 2)])
    gateway: Any = SimpleNamespace(_app=quiet, _generate=generate)
    with pytest.raises(asyncio.CancelledError):
        await Gateway._canary(gateway)
    assert not failures


async def test_a_release_that_does_not_run_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_deployment: str, name: str) -> Any:
        raise KeyError(name)

    monkeypatch.setattr("ray.serve.get_deployment_handle", none)
    request = UpstreamRequest("POST", "/v1/completions", [], BODY, "x")
    with pytest.raises(UpstreamGone, match="chat-r7 does not run"):
        await ServeUpstream(Path("deaths")).send(ReleaseRef("chat", 7), request)
