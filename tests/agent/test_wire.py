"""What travels comes back as it was; and what must not travel does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmops import errors
from llmops.errors import LlmopsError
from llmops.events import KeyMade, Progress, StepBegun, StepEnded
from llmops.planning import Facts, Gpu, LiveRelease, MachineFacts, ModelFacts, Tensor, TlsFiles
from llmops.planning.identity import facts_digest, identity
from llmops.spec import Deployment, loads
from serving.agent.desk import plain
from serving.agent.documents import Kind
from serving.agent.facts import facts_document, parse_facts
from serving.agent.wire import error_of, event_document, fault_of, parse_events
from serving.agent.words import Fault

SPEC = """
name: chat
model: {source: 'hf://owner/name', context: 512}
engine: {kv_cache: 1GiB, args: {enable_prefix_caching: false}}
target: {kind: agent, store: 's3://bucket/team', port: 8100}
scaling: {replicas: 1..4, objective: {ttft: 500ms}}
maintenance: {drain: 90s, window: 'Sun 02:00-04:00 UTC'}
security: {keys: [team-a], per_key: {team-a: {requests_per_minute: 5}}}
"""


def facts() -> Facts:
    model = ModelFacts(
        "hf://owner/name", "c" * 40, {"layers": 2, "rope": {"theta": 1e4}}, 5, 10, {"BF16": 5}, 0,
        chat_template=True, converted=False, tensors=(Tensor("w", (2, 3)),), licence="apache-2.0",
    )  # fmt: skip
    machine = MachineFacts(
        8, 2**36, 2**35, 2**40, (Gpu("H100", 80, 70),), "", 8100, "10.0.0.4", None,
        TlsFiles("/c", "/k"), ("a note",),
    )  # fmt: skip
    live = LiveRelease("chat", 3, "i", 100, 5, 2, 1)
    return Facts(model, machine, (live,), "vllm 0.32.0")


def test_facts_have_the_same_digest_on_both_sides() -> None:
    again = parse_facts(facts_document(facts()))
    assert again == facts()
    assert facts_digest(again) == facts_digest(facts())


def test_a_deployment_is_the_same_release_on_both_sides() -> None:
    deployment = loads(SPEC)
    again = Deployment.model_validate(plain(deployment))
    assert again == deployment
    assert identity(again, facts()) == identity(deployment, facts())


@pytest.mark.parametrize(
    "event",
    [
        Progress("stage", "loading", 1.5, 60.0, 12.0),
        StepBegun("stage release 3"),
        StepEnded("stage release 3", 2.5),
    ],
)
def test_events_come_back(event: Progress | StepBegun | StepEnded) -> None:
    document = event_document(event)
    assert document is not None
    later = document | {"mood": "a field of a later version"}
    assert list(parse_events([later, {"kind": "of a later version"}])) == [event]


def test_the_text_of_a_key_does_not_travel() -> None:
    assert event_document(KeyMade("chat", "default", "canary")) is None


@pytest.mark.parametrize(
    "made",
    [
        errors.InputError,
        errors.RefusedError,
        errors.BusyError,
        errors.ModelError,
        errors.TargetError,
        errors.UnreachableError,
        LlmopsError,
    ],
)
def test_an_error_comes_back_as_what_it_was(made: Callable[..., LlmopsError]) -> None:
    error = made("it went wrong", hint="do this")
    again = error_of(fault_of(error))
    assert type(again) is type(error)
    assert (again.message, again.hint) == ("it went wrong", "do this")
    assert again.exit_code == error.exit_code


def test_whether_something_serves_comes_back() -> None:
    error = errors.TargetError("bad", serving=True)
    assert error_of(fault_of(error)).exit_code == 4


def test_what_a_policy_refused_ends_as_a_refusal() -> None:
    again = error_of(Fault("PolicyError", "refused by two", exit_code=3))
    assert again.message == "refused by two"
    assert again.exit_code == errors.RefusedError.exit_code


def test_every_kind_of_document_says_its_format() -> None:
    assert b'"format": 1, "version": "' in Kind(dict, "x").dump({})
