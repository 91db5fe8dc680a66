"""A release on some of the traffic, and a change held for its window, on the real runtime."""

from __future__ import annotations

import time
from pathlib import Path

from llmops.windows import DAYS
from tests.e2e.conftest import Service
from tests.e2e.stage import Stage
from tests.e2e.test_3_releases import Traffic

CANARY = "strategy: canary, canary: {steps: [40], watch: 30s, least_requests: 10}"


def test_a_release_is_watched_on_some_of_the_traffic_and_loses_no_request(
    stage: Stage, service: Service, model: Path
) -> None:
    before = stage.live(service.name)
    spec = stage.spec(
        service.name,
        f"file://{model}",
        security="{max_tokens: 400}",
        maintenance=f"{{drain: 20s, {CANARY}, keep_releases: 1, keep_logs: 0}}",
    )
    with Traffic(stage, service) as traffic:
        done = stage.deploy(spec)
    assert done.code == 0, done.text
    after = stage.live(service.name)
    assert not traffic.bad
    assert f"release {after} has 40 % of new requests" in done.err
    assert f"release {after} is no worse than {before}: 0 of " in done.err
    history = stage.run("history", service.name, "-o", "json").json()["releases"]
    assert [one["number"] for one in history] == [before, after]
    assert history[-1]["verified_at"] - history[-1]["watched_since"] >= 15
    shared = traffic.good[traffic.good.index(str(after)) :]
    assert {str(before), str(after)} == set(shared), "only one of the two was seen serving"
    logs = stage.home / "logs" / service.name
    assert [one.name for one in logs.iterdir()] == [f"r{after}"]


def test_a_change_is_held_for_its_window_and_an_emergency_is_recorded(
    stage: Stage, service: Service, model: Path
) -> None:
    day = DAYS[(time.gmtime().tm_wday + 3) % 7]
    maintenance = f"{{drain: 20s, {CANARY}, window: '{day} 01:00-01:05 UTC'}}"
    source, before = f"file://{model}", stage.live(service.name)
    same = stage.spec(service.name, source, security="{max_tokens: 400}", maintenance=maintenance)
    unchanged = stage.deploy(same)
    assert unchanged.code == 0, unchanged.text
    assert stage.live(service.name) == before
    refused = stage.run("rollback", service.name, "--yes")
    assert refused.code == 3, refused.text
    assert f"opens {day} " in refused.err
    held = stage.run("destroy", service.name, "--yes")
    assert held.code == 3, held.text
    rolled = stage.run("rollback", service.name, "--yes", "--emergency", "it leaks")
    assert rolled.code == 0, rolled.text
    assert stage.live(service.name) == before + 1
    assert "emergency: it leaks (" in stage.run("history", service.name).out
    open_again = stage.spec(service.name, source, maintenance="{drain: 20s}")
    assert stage.run("deploy", "-f", str(open_again), "--yes", "--emergency", "done").code == 0
