"""`llmops cluster sweep`, `cluster cost` and `doctor --aws`, against a cloud on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from infra.automation import Backend, Pending, StackState
from infra.overseeing import find, take_away
from llmops.errors import LlmopsError
from tests.infra.automation.stage import set_stage
from tests.infra.cloud import REGION, Cloud

pytestmark = pytest.mark.timeout(600)

OURS = {"llmops:project": "llmops", "llmops:stack": "chat", "llmops:service": "chat",
        "llmops:spec": "0123456789ab"}  # fmt: skip


class Backends(Backend):
    """A backend that says what a test wants."""

    def __init__(self, states: dict[str, StackState]) -> None:
        self._states = states

    def version(self) -> str:
        return "3.272.0"

    def url(self) -> str:
        return "file:///b"

    def stacks(self) -> tuple[str, ...]:
        return tuple(self._states)

    def state(self, stack: str) -> StackState:
        return self._states[stack]


def held(*ids: str, pending: tuple[Pending, ...] = ()) -> StackState:
    return StackState({f"urn::{number}": name for number, name in enumerate(ids)}, pending)


def test_what_no_stack_holds_is_found_with_its_cost_and_taken_away(
    cloud: Cloud, tmp_path: Path
) -> None:
    kept, lost = cloud.machine(OURS), cloud.machine(OURS)
    backend = Backends({"chat": held(kept)})
    found = find(tmp_path, REGION, backend=backend)
    machines = [one for one in found.leftovers if one.priced.thing.kind == "ec2:instance"]
    assert [one.priced.thing.id for one in machines] == [lost]
    assert (machines[0].priced.usd_per_hour or 0) > 0.3
    assert [why for _, why in take_away(found) if why] == []
    assert find(tmp_path, REGION, backend=backend).leftovers == ()


def test_a_stack_whose_update_has_not_ended_is_left_alone(cloud: Cloud, tmp_path: Path) -> None:
    cloud.machine(OURS)
    pending = (Pending("urn::i", "creating"),)
    found = find(tmp_path, REGION, backend=Backends({"chat": held(pending=pending)}))
    assert (found.leftovers, found.unsettled) == ((), ("chat",))


def test_where_the_stacks_cannot_be_asked_nothing_counts_as_left_over(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.machine(OURS)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LlmopsError, match="no `pulumi` program"):
        find(tmp_path, REGION)


def test_sweep_lists_and_removes_only_what_it_may(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_stage(tmp_path, monkeypatch)
    lost = cloud.machine(OURS)
    listed = CliRunner().invoke(app, ["cluster", "sweep", "--region", REGION, "-o", "json"])
    rows = json.loads(listed.stdout)["leftovers"]
    assert lost in [row["id"] for row in rows]
    assert all(row["stack"] == "chat" for row in rows)
    sweep = ["cluster", "sweep", "--region", REGION, "--remove", "--yes"]
    refused = CliRunner().invoke(app, sweep)
    assert isinstance(refused.exception, LlmopsError)
    assert "--stack" in refused.exception.message
    done = CliRunner().invoke(app, [*sweep, "--stack", "chat"])
    assert done.exit_code == 0, done.output
    assert f"gone: ec2:instance {lost}" in done.output
    again = CliRunner().invoke(app, ["cluster", "sweep", "--region", REGION])
    assert "nothing is left over" in again.output


def test_cost_adds_up_what_runs(cloud: Cloud) -> None:
    cloud.machine(OURS)
    cloud.machine(OURS)
    done = CliRunner().invoke(app, ["cluster", "cost", "--region", REGION, "-o", "json"])
    [cost] = json.loads(done.stdout)["costs"]
    assert cost["machines"] == {"g4dn.xlarge": 2}
    assert cost["plan"] == "0123456789ab"
    assert cost["usd_per_hour"] == pytest.approx(2 * 0.526)


def test_doctor_tells_what_the_cloud_needs(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_stage(tmp_path, monkeypatch)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    done = CliRunner().invoke(app, ["doctor", "--aws", REGION, "-o", "json"])
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["pulumi"]["verdict"] == "ok"
    assert checks["credentials"]["verdict"] == "ok"
    assert checks["passphrase"]["verdict"] == "fail"
    assert "PULUMI_CONFIG_PASSPHRASE" in checks["passphrase"]["fix"]
    assert done.exit_code == 1
