"""What Serve's controller is told: its context becomes an observation, and memory is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from llmops.policies.scaling import ScalingSettings, decide
from serving.runtime import autoscaling, board, deciding
from serving.runtime.autoscaling import Autoscaler

APP = "chat-r3"
NOW = 1_700_000_000.0
SETTINGS = ScalingSettings(low=0, high=4, target_in_flight=10, idle_seconds=60, settle_seconds=30)


@dataclass
class FakeBoard:
    """Ray's store as a dictionary: no other process, and nothing gets lost."""

    loads: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    startups: dict[str, float] = field(default_factory=dict)
    broken: bool = False

    def read(self, application: str, now: float) -> dict[str, dict[str, Any]]:
        assert application == APP
        if self.broken:
            raise RuntimeError("the store is away")
        return {name: one for name, one in self.loads.items() if now - one["at"] <= board.FRESH}

    def post(self, application: str, decision: dict[str, Any]) -> None:
        assert application == APP
        self.told.append(decision)


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    made = FakeBoard()
    monkeypatch.setattr(board, "loads", made.read)
    monkeypatch.setattr(board, "post_decision", made.post)
    monkeypatch.setattr(board, "startup", made.startups.get)
    monkeypatch.setattr(board, "post_startup", made.startups.__setitem__)
    return made


def load(at: float, **figures: Any) -> dict[str, Any]:
    nothing = {"arrived": 0, "in_flight": 0, "waiting": 0, "oldest_wait": 0.0,
               "tokens_per_second": 0.0, "judged": 0, "missed": 0, "stopping": 0,
               "follows": None, "ceiling": None}  # fmt: skip
    return nothing | {"at": at} | figures


class Serve:
    """Serve's side of a policy: it keeps the state, and asks again and again."""

    def __init__(self, settings: ScalingSettings = SETTINGS) -> None:
        self.policy = Autoscaler(json.loads(json.dumps(settings.document())))
        self.state: dict[str, Any] = {}
        self.target = 1
        self.running = 1

    def ask(self, now: float, **seen: Any) -> int:
        context = SimpleNamespace(
            app_name=APP,
            current_time=now,
            current_num_replicas=self.running,
            target_num_replicas=self.target,
            total_num_requests=seen.get("requests", 0.0),
            aggregated_metrics=seen.get("metrics", {}),
            policy_state=dict(self.state),
        )
        self.target, self.state = self.policy(context)
        self.state = json.loads(json.dumps(self.state))
        return self.target


def test_what_the_gateways_count_is_believed_before_what_serve_counts(posts: FakeBoard) -> None:
    serve = Serve()
    posts.loads = {"a": load(NOW, in_flight=12), "b": load(NOW, in_flight=13)}
    assert serve.ask(NOW, requests=400.0) == 3
    assert posts.told[-1]["reason"] == "25 in flight, 10 per replica"


def test_without_a_gateways_word_serves_counts_decide(posts: FakeBoard) -> None:
    posts.loads = {"a": load(NOW - 60, in_flight=0)}
    assert Serve().ask(NOW, requests=25.0) == 3


def test_requests_that_the_gateways_hold_wake_a_service(posts: FakeBoard) -> None:
    serve = Serve()
    serve.running = serve.target = 0
    posts.loads = {"a": load(NOW, waiting=25)}
    assert serve.ask(NOW) == 3, "as many as are needed, and not one for a beginning"


def test_a_leaking_count_of_serves_keeps_nobody_awake(posts: FakeBoard) -> None:
    serve = Serve()
    for second in range(100):
        posts.loads = {"a": load(NOW + second, arrived=7)}
        serve.ask(NOW + second, requests=3.0)
        serve.running = serve.target
    assert serve.target == 0
    assert posts.told[-1]["reason"] == "no request for 60 s"


def test_arrivals_add_up_over_gateways_that_come_and_go(posts: FakeBoard) -> None:
    serve = Serve()
    rounds = [{"a": 5}, {"a": 7, "b": 100}, {"b": 103}, {"a": 9, "b": 103}, {"a": 1, "b": 104}]
    for second, counts in enumerate(rounds):
        posts.loads = {n: load(NOW + second, arrived=count) for n, count in counts.items()}
        serve.ask(NOW + second)
    # New were 2 of a; 3 of b; 2 of a, which had been silent; 1 of b, while a began again.
    assert serve.state["arrived"] == 2 + 3 + 2 + 1


def test_figures_of_replicas_reach_the_decision(posts: FakeBoard) -> None:
    posts.loads = {"a": load(NOW, in_flight=5)}
    assert Serve().ask(NOW, metrics={"kv_use": {"one": 0.97}}) == 2
    queue = ScalingSettings(low=1, high=4, target_in_flight=10, queue=1)
    assert Serve(queue).ask(NOW, metrics={"queued": {"one": 8.0}}) == 2


def test_it_decides_twice_a_second_however_often_it_is_asked(posts: FakeBoard) -> None:
    serve = Serve()
    for tenth in range(20):
        posts.loads = {"a": load(NOW + tenth / 10, in_flight=5)}
        before = serve.state.get("asked_at")
        serve.ask(NOW + tenth / 10)
        assert (serve.state["asked_at"] != before) == (tenth % 5 == 0)


def test_a_decision_is_told_when_it_changes_and_now_and_then(posts: FakeBoard) -> None:
    serve = Serve()
    for second in range(20):
        posts.loads = {"a": load(NOW + second, in_flight=5 if second < 12 else 30)}
        serve.ask(NOW + second)
        serve.running = serve.target
    assert [told["at"] - NOW for told in posts.told][:3] == [0, 5, 10]
    assert any(told["replicas"] == 3 for told in posts.told[3:])


def test_a_failure_keeps_what_there_is(posts: FakeBoard) -> None:
    serve = Serve()
    posts.broken = True
    assert serve.ask(NOW) == 1
    posts.broken = False
    posts.loads = {"a": load(NOW + 1, in_flight=25)}
    assert serve.ask(NOW + 1) == 3


def follow(serve: Serve, posts: FakeBoard, at: float, follows: int | None) -> int:
    posts.loads = {"a": load(NOW + at, follows=follows)}
    return serve.ask(NOW + at)


def test_a_release_on_its_way_follows_the_number_of_the_one_before_it(posts: FakeBoard) -> None:
    serve = Serve()
    assert [follow(serve, posts, at, 3) for at in (0, 1, 2)] == [3, 3, 3]
    assert posts.told[-1]["reason"] == (
        "as many as the release before it, until it has taken over the requests"
    )
    assert follow(serve, posts, 3, 4) == 4, "the one before it has grown meanwhile"
    assert follow(serve, posts, 4, 9) == 4, "its own highest number"


def test_it_holds_the_number_for_the_settle_time_once_it_has_all_requests(
    posts: FakeBoard,
) -> None:
    serve = Serve()
    follow(serve, posts, 0, 3)
    serve.running = 3
    for second in range(200):  # nobody asks, and it would sleep after 60 s
        assert follow(serve, posts, 1 + second, 3) == 3
    for second in range(30):
        assert follow(serve, posts, 201 + second, None) == 3
    assert posts.told[-1]["reason"].endswith("whose requests it has just taken over")
    assert follow(serve, posts, 232, None) < 3


def test_a_release_on_its_way_keeps_one_replica_however_long_it_takes(posts: FakeBoard) -> None:
    serve = Serve()
    assert {follow(serve, posts, second, 0) for second in range(100)} == {1}
    assert follow(serve, posts, 150, None) == 1


def test_without_a_gateways_word_it_follows_what_was_told_last(posts: FakeBoard) -> None:
    serve = Serve()
    follow(serve, posts, 0, 3)
    posts.loads = {}
    serve.running = 3
    assert {serve.ask(NOW + second) for second in range(1, 100)} == {3}


def test_a_controller_that_begins_anew_takes_over_nothing(posts: FakeBoard) -> None:
    serve = Serve()
    serve.running = serve.target = 3
    for second in range(40):
        follow(serve, posts, second, None)
        serve.running = serve.target
    assert serve.target == 1


BUDGET = {"replicas": 2, "by": "acme"}


def test_a_budget_holds_the_number_and_says_so(posts: FakeBoard) -> None:
    serve = Serve()
    posts.loads = {"a": load(NOW, in_flight=25, ceiling=BUDGET)}
    assert serve.ask(NOW) == 2
    reason = posts.told[-1]["reason"]
    assert reason == "held at 2 by the budget of acme: 25 in flight, 10 per replica"
    posts.loads = {"a": load(NOW + 1, in_flight=15, ceiling=BUDGET)}
    serve.running = 2
    assert serve.ask(NOW + 1) == 2
    posts.loads = {"a": load(NOW + 2, in_flight=35)}
    assert serve.ask(NOW + 2) == 4, "the budget has gone"


def test_a_budget_is_not_blamed_for_what_the_load_does_not_ask_for(posts: FakeBoard) -> None:
    posts.loads = {"a": load(NOW, in_flight=15, ceiling=BUDGET)}
    assert Serve().ask(NOW) == 2
    assert posts.told[-1]["reason"] == "15 in flight, 10 per replica"


def test_a_budget_holds_while_no_gateway_tells_and_the_strictest_word_counts(
    posts: FakeBoard,
) -> None:
    serve = Serve()
    one, other = load(NOW, ceiling=BUDGET), load(NOW, ceiling={"replicas": 1, "by": "acme"})
    posts.loads = {"a": one, "b": other}
    serve.ask(NOW)
    posts.loads = {}
    assert serve.ask(NOW + 10, requests=40.0) == 1


def test_a_budget_bounds_what_is_taken_over_too(posts: FakeBoard) -> None:
    posts.loads = {"a": load(NOW, follows=4, ceiling=BUDGET)}
    assert Serve().ask(NOW) == 2


def started(posts: FakeBoard, serve: Serve, at: float, took: float) -> None:
    """One more replica is asked for, and comes `took` seconds later."""
    posts.loads = {"a": load(NOW + at, in_flight=15)}
    assert serve.ask(NOW + at) == 2
    posts.loads = {"a": load(NOW + at + 1, in_flight=15)}
    serve.ask(NOW + at + 1)
    serve.running = 2
    posts.loads = {"a": load(NOW + at + took, in_flight=15)}
    serve.ask(NOW + at + took)


def test_how_long_a_start_takes_outlives_the_controller_and_the_release(posts: FakeBoard) -> None:
    started(posts, Serve(), 0, took=40)
    [(service, seconds)] = posts.startups.items()
    assert service == "chat"
    assert seconds == 39
    told = len(posts.told)
    started(posts, Serve(), 100, took=10)
    assert posts.told[told]["startup"] == seconds
    assert posts.startups["chat"] == 9, "what is measured anew counts alone"


def test_a_start_that_was_measured_before_is_what_a_new_decision_reckons_with(
    posts: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts.startups["chat"] = 41.5
    reckoned: list[ScalingSettings] = []

    def noting(settings: ScalingSettings, *more: Any) -> Any:
        reckoned.append(settings)
        return decide(settings, *more)

    monkeypatch.setattr(deciding, "decide", noting)
    posts.loads = {"a": load(NOW, in_flight=5)}
    Serve().ask(NOW)
    assert [one.startup_seconds for one in reckoned] == [41.5]


def test_serve_can_pickle_it_by_value_as_it_does() -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(autoscaling)
    try:
        made = cloudpickle.loads(cloudpickle.dumps(Autoscaler))
    finally:
        cloudpickle.unregister_pickle_by_value(autoscaling)
    assert made(SETTINGS.document()) is not None
