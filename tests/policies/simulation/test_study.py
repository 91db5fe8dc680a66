"""Policies side by side, as data and as a picture; and the simulator beside a live run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from llmops.catalog import load_catalogue
from llmops.errors import SpecError
from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation import (
    FIXED,
    OPTIMUM,
    OURS,
    RAY,
    TUNED,
    USUAL_TTFT,
    Load,
    Observed,
    Profile,
    Study,
    Tolerance,
    compare,
    document,
    generate,
    price_of,
    read_profile,
    replica_of,
    rules_for,
    rules_of,
    settings_for,
    simulate,
    study,
    svg,
)
from llmops.spec import Deployment, loads

SETTINGS = ScalingSettings(1, 4, 8, ttft=2.0, startup_seconds=20.0)
PROFILE = Profile(startup=20.0, devices=2)
TRACE = generate(Load(seconds=300, day=300, rate=3.0), 1)
RULES = rules_of(SETTINGS, TRACE, PROFILE)


@pytest.fixture(scope="module")
def made() -> Study:
    return study(SETTINGS, TRACE, PROFILE, RULES, usd_per_hour=3.0)


def test_every_policy_has_a_row_and_a_ratio_to_the_optimum(made: Study) -> None:
    assert [row.name for row in made.rows] == [OURS, FIXED, RAY, TUNED, OPTIMUM]
    best = made.row(OPTIMUM)
    assert best is not None
    assert best.ratio == 1.0
    assert made.bound is not None
    assert made.bound <= best.figures.gpu_hours
    for row in made.rows:
        assert row.ratio == pytest.approx(row.figures.gpu_hours / best.figures.gpu_hours)
        assert row.figures.usd == pytest.approx(row.figures.gpu_hours / 2 * 3.0)


def test_the_optimum_can_be_left_out() -> None:
    quick = study(SETTINGS, TRACE, PROFILE, RULES, optimum=False)
    assert quick.bound is None
    assert quick.row(OPTIMUM) is None
    assert all(row.ratio is None for row in quick.rows)


def test_a_study_is_data_with_stable_keys(made: Study) -> None:
    found = document(made, TRACE, SETTINGS, PROFILE, RULES)
    assert list(found) == ["trace", "settings", "replica", "rules", "bound_gpu_hours", "policies"]
    assert found["trace"]["requests"] == len(TRACE.requests)
    assert found["settings"]["target_in_flight"] == 8
    assert list(found["policies"][0]) == [
        "name", "ratio_to_optimum", "gpu_hours", "attained", "ttft_p50", "ttft_p99", "usd",
        "requests", "answered", "held", "rejected", "started", "peak",
    ]  # fmt: skip


def test_a_picture_is_well_formed_and_the_same_again(made: Study) -> None:
    picture = svg(made, "a <title> & more")
    assert picture == svg(made, "a <title> & more")
    root = ET.fromstring(picture)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a <title> & more" in texts
    names = [span.text for span in root.iter("{http://www.w3.org/2000/svg}tspan")]
    assert {OURS, FIXED, RAY, TUNED} <= set(names)


def test_a_picture_without_an_optimum_has_no_line_for_it() -> None:
    quick = study(SETTINGS, TRACE, PROFILE, RULES, optimum=False)
    assert 'class="best"' not in svg(quick, "quick")


def test_a_service_begins_with_what_its_first_minute_needs() -> None:
    busy = generate(Load(seconds=120, rate=20.0, swing=0.0), 1)
    assert rules_of(SETTINGS, busy, PROFILE).initial == 4
    assert rules_of(SETTINGS, TRACE, PROFILE).initial == 1
    assert rules_of(replace(SETTINGS, low=0), TRACE, PROFILE).initial == 1


# Against a live run


def test_a_run_like_the_simulation_does_not_differ() -> None:
    simulated = simulate(SETTINGS, TRACE, PROFILE, RULES)
    live = [Observed(m.at + 2.0, m.running, m.queued + m.held) for m in simulated.moments[:-2]]
    found = compare(simulated, live)
    assert (found.apart, found.waiting, found.longest) == (0.0, 0.0, 0.0)
    assert (found.worst, found.within) == ((), True)


def test_other_replicas_and_a_longer_queue_are_told() -> None:
    simulated = simulate(SETTINGS, TRACE, PROFILE, RULES)
    live = [Observed(m.at, m.running + 3 * (m.at < 60), 20) for m in simulated.moments]
    found = compare(simulated, live, Tolerance(seconds=1.0))
    assert found.apart == pytest.approx(60 / len(live), abs=0.02)
    assert found.waiting > 5
    assert len(found.worst) == 5
    assert not found.within


def test_a_queue_with_another_top_is_told_however_short_it_stands() -> None:
    simulated = simulate(SETTINGS, TRACE, PROFILE, RULES)
    live = [Observed(m.at, m.running, m.queued + m.held) for m in simulated.moments]
    top = max(one.waiting for one in live)
    live[100] = replace(live[100], waiting=2 * top + 20)
    found = compare(simulated, live)
    assert found.apart == 0.0
    assert found.waiting < 5
    assert found.longest == pytest.approx((top + 20) / (2 * top + 20))
    assert not found.within
    assert compare(simulated, live, Tolerance(longest=0.9)).within == (found.longest <= 0.9)


def test_a_run_at_another_time_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="within the trace"):
        compare(simulate(SETTINGS, TRACE, PROFILE, RULES), [Observed(9999.0, 1, 0)])


# From a spec


def spec(text: str) -> Deployment:
    source = f"name: chat\nmodel: {{source: 'hf://a/b'}}\n{text}"
    return loads(source, "llmops.yaml")


FULL = """
scaling:
  replicas: 0..6
  target_in_flight: 7
  max_in_flight: 9
  target_tokens_per_second: 900
  objective: {ttft: 500ms, tpot: 50ms, percent: 95, queue: 4}
  warm: 1
  schedule: [{window: "Mon-Fri 08:00-18:00 Europe/Berlin", replicas: 2..6}]
  idle: 2min
  settle: 30s
  hold: {requests: 12, wait: 90s}
"""


def test_settings_are_those_that_a_deploy_hands_to_the_live_decision() -> None:
    scaling_config = pytest.importorskip("serving.scaling_config")
    from llmops.planning.replicas import planned_scaling

    deployment = spec(FULL)

    class Layout:
        replicas_low, replicas_high = 0, 6

    class Limits:
        in_flight = 9

    class Plan:
        layout, limits, scaling = Layout, Limits, planned_scaling(deployment)
        target_in_flight = 7

    theirs = scaling_config.settings_of(Plan)
    ours = replace(settings_for(deployment, 33.0), startup_seconds=theirs.startup_seconds)
    assert replace(ours, capacity=9) == theirs, "the simulator takes it from the replica's profile"
    assert settings_for(deployment, 33.0).startup_seconds == 33.0


def test_rules_and_replica_follow_the_spec() -> None:
    deployment = spec(FULL + "hardware: {device: gpu, gpu: H100, count: 4}\n")
    settings = settings_for(deployment, 60.0)
    rules = rules_for(deployment, settings, TRACE, Profile())
    assert (rules.most_held, rules.hold_seconds, rules.ttft, rules.tpot) == (12, 90.0, 0.5, 0.05)
    assert (replica_of(deployment, Profile()).most, replica_of(deployment, Profile()).devices) == (
        9,
        4,
    )


def test_without_an_objective_one_is_assumed_for_the_figures_alone() -> None:
    deployment = spec("scaling: {replicas: 1..3}\n")
    settings = settings_for(deployment, 60.0)
    assert settings.ttft is None
    assert rules_for(deployment, settings, TRACE, Profile()).ttft == USUAL_TTFT


def test_a_price_is_known_of_a_gpu_that_is_named() -> None:
    catalogue = load_catalogue([])
    named = spec("hardware: {device: gpu, gpu: H100, count: 2}\n")
    one = price_of(named, catalogue, 1)
    assert one is not None
    assert one > 0
    assert price_of(named, catalogue, 2) == pytest.approx(2 * one)
    assert price_of(spec(""), catalogue, 1) is None


def test_a_profile_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(
        "kind: ReplicaProfile\nslots: 4\nprefill_tokens_per_second: 900\nstep_seconds: 0.05\n"
        "step_seconds_per_request: 0.01\nchunk_tokens: 512\nstartup: 12s\ngpus: 2\n"
        "kv_tokens: 9000\n"
    )
    assert read_profile(path) == Profile(
        slots=4, prefill_rate=900.0, step=0.05, step_each=0.01, chunk=512, startup=12.0,
        devices=2, kv_tokens=9000,
    )  # fmt: skip


def test_a_wrong_profile_is_refused_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("kind: ReplicaProfile\nslots: 0\nstep: 3\n")
    with pytest.raises(SpecError) as raised:
        read_profile(path)
    assert [(one.line, one.path) for one in raised.value.problems] == [(2, "slots"), (3, "step")]
