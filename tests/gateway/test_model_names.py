"""Model names of adapters: who may ask for which, which release answers, and what is told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from serving.gateway import OPERATOR, GatewayConfig, create_key
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import LIMITS, FakeUpstream, Gate, refused

A, B = "a" * 64, "b" * 64
FORMAL = {"model": "formal"}


def serve(gate: Gate, *releases: dict[str, Any], **more: Any) -> Gate:
    """Have `tiny` these releases, and `other` one of its own with a name."""
    entry = {"limits": LIMITS, "context": 2048}
    services = {
        "tiny": entry | {"releases": list(releases)} | more,
        "other": entry | {"releases": [{"release": 3, "share": 100, "models": {"theirs": A}}]},
    }
    document = {"generation": 2, "keys_version": "1", "services": services}
    gate.app.reconfigure(GatewayConfig.parse(document))
    return gate


@pytest.fixture
def named(gate: Gate) -> Gate:
    return serve(
        gate,
        {"release": 3, "share": 100, "models": {"formal": A, "brief": B}},
        {"release": 4, "share": 0, "models": {"formal": A, "later": B}},
    )


async def listed(gate: Gate, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await gate.ask("GET", "/v1/models", **options)).json()["data"]
    return found


async def test_a_name_reaches_its_service_and_goes_with_the_request(named: Gate) -> None:
    for model, told in (("formal", "formal"), ("brief", "brief"), ("tiny", "")):
        reply = await named.complete(body={"model": model})
        assert (reply.status, reply.headers["x-llmops-release"]) == (200, "3")
        release, request = named.upstream.requests[-1]
        assert (release.service, request.model) == ("tiny", told)
        assert named.upstream.body["model"] == model


async def test_the_models_of_a_key_are_listed_with_what_they_are_of(named: Gate) -> None:
    found = {one["id"]: (one["root"], one["parent"]) for one in await listed(named)}
    assert found == {"tiny": ("tiny", None), "formal": ("tiny", "tiny"), "brief": ("tiny", "tiny")}
    one = (await named.ask("GET", "/v1/models/formal")).json()
    assert (one["id"], one["max_model_len"]) == ("formal", 2048)
    assert [one["id"] for one in await listed(named, key=named.other_key)] == ["other", "theirs"]


@pytest.mark.parametrize("model", ["theirs", "later", "nothing", "formal ", "", "adapter-" + A])
async def test_any_other_name_is_not_found(named: Gate, model: str) -> None:
    """One of another service, of a release that is on its way, of none; and the engine's own."""
    reply = await named.complete(body={"model": model})
    assert (reply.status, reply.code) == (404, "model_not_found")
    assert (await named.ask("GET", f"/v1/models/{model}")).status == 404
    assert not named.upstream.requests


async def test_a_key_for_some_names_may_ask_for_these_alone(named: Gate) -> None:
    _, text = create_key(named.keys_file, "tiny", "few", models=("formal", "theirs"))
    named.app.reload_keys()
    assert {one["id"] for one in await listed(named, key=text)} == {"formal", "theirs"}
    for model, status in (("formal", 200), ("theirs", 200), ("tiny", 404), ("brief", 404)):
        assert (await named.complete(key=text, body={"model": model})).status == status


async def test_a_release_is_proven_under_a_name_before_anybody_else_may_ask_for_it(
    named: Gate,
) -> None:
    headers = [("llmops-release", "4")]
    key = named.operator_key
    proof = await named.complete(key=key, headers=headers, body={"model": "later"})
    assert (proof.status, proof.headers["x-llmops-release"]) == (200, "4")
    absent = await named.complete(key=key, headers=headers, body={"model": "brief"})
    assert absent.status == 404, "a release was asked under a name that it has not"


async def test_while_two_releases_share_a_name_of_one_of_them_is_that_ones(gate: Gate) -> None:
    serve(
        gate,
        {"release": 3, "share": 90, "models": {"formal": A, "brief": B}},
        {"release": 4, "share": 10, "models": {"formal": B, "later": A}},
    )
    answered: dict[str, Counter[str]] = {}
    for model in ("brief", "later", "formal", "tiny"):
        counts = answered[model] = Counter()
        for _ in range(60):
            reply = await gate.complete(body={"model": model})
            counts[reply.headers["x-llmops-release"]] += 1
    assert (set(answered["brief"]), set(answered["later"])) == ({"3"}, {"4"})
    for model in ("formal", "tiny"):
        assert answered[model]["3"] > answered[model]["4"] > 0, "the shares stand no more"


async def test_a_shadow_is_sent_only_to_a_release_that_answers_to_the_name(
    make_gate: MakesGate,
) -> None:
    gate = serve(
        make_gate(),
        {"release": 3, "share": 50, "models": {"formal": A, "brief": B}},
        {"release": 4, "share": 50, "models": {"formal": B}},
        shadow=100,
    )
    for _ in range(5):
        assert (await gate.complete(body={"model": "brief"})).status == 200
    assert {release.number for release, _ in gate.upstream.requests} == {3}
    await gate.complete(body=FORMAL)
    asked = [(release.number, request.model) for release, request in gate.upstream.requests[5:]]
    assert sorted(asked) == [(3, "formal"), (4, "formal")]


async def test_what_a_name_was_answered_is_counted_by_key_and_told(named: Gate) -> None:
    await named.complete(body=FORMAL)
    await named.complete()
    lines = named.lines()[-2:]
    assert [(line["service"], line.get("model")) for line in lines] == [
        ("tiny", "formal"), ("tiny", None),
    ]  # fmt: skip
    who = {"service": "tiny", "release": "3", "key": "team-a"}
    for model in ("formal", "tiny"):
        assert named.metric("llmops_requests_total", **who, model=model, status="200") == 1
        assert named.metric("llmops_completion_tokens_total", **who, model=model) == 2


async def test_a_name_that_nobody_has_is_in_no_metric(named: Gate) -> None:
    await named.complete(body={"model": "made-up-by-a-client"})
    samples = [s for m in named.metrics.registry.collect() for s in m.samples]
    assert not [s for s in samples if "made-up-by-a-client" in s.labels.values()]


async def test_a_keys_limits_hold_over_all_its_names(make_gate: MakesGate) -> None:
    gate = make_gate()
    limits = LIMITS | {"requests_per_minute": 2}
    serve(gate, {"release": 3, "share": 100, "models": {"formal": A}}, limits=limits)
    asked = [await gate.complete(body={"model": name}) for name in ("tiny", "formal", "formal")]
    assert [reply.status for reply in asked] == [200, 200, 429]


async def test_a_services_own_name_is_never_anothers(gate: Gate) -> None:
    """Plans refuse it; two that were made at once may not know of each other."""
    serve(gate, {"release": 3, "share": 100, "models": {"other": A, "theirs": B}})
    await gate.complete(key=gate.other_key, body={"model": "other"})
    assert gate.upstream.requests[-1][0].service == "other"
    assert (await gate.complete(body={"model": "other"})).status == 404
    assert OPERATOR not in {one["id"] for one in await listed(gate)}


async def test_what_the_engine_refuses_under_a_name_is_told_as_ever(make_gate: MakesGate) -> None:
    gate = serve(
        make_gate(FakeUpstream(refused(400, "too long"))),
        {"release": 3, "share": 100, "models": {"formal": A}},
    )
    assert (await gate.complete(body=FORMAL)).status == 400
