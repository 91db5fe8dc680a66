"""`llmops bench NAME --profile FILE`: what is written is read by the simulator, and true."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.bench_profile import measure
from llmops.errors import InputError, TargetError
from llmops.planning import Figure, Plan
from llmops.policies.simulation import read_profile
from llmops.releases import History, State
from llmops.targets import ReleaseStatus
from serving.client import Endpoint
from tests.client.server import KEY, SERVICE, Server, generate
from tests.releases.plans import make_plan, release

RUNS = ReleaseStatus(2, "live", "ready", 100, 1, 0, 0, None, "", wanted=1, startup=12.5)
WOKEN, READ = 1 + 1, 2 * (1 + 5)
"""Requests that wake a service, and that read prompts; one to warm up before each measurement."""


@dataclass
class Service:
    """As little of a target as measuring looks at."""

    url: str
    plan: Plan
    seen: list[ReleaseStatus]
    """What each look shows; the last one again and again."""

    @property
    def store(self) -> Any:
        return self

    def endpoint(self, name: str) -> Endpoint:
        return Endpoint(self.url, KEY, name)

    def read(self, name: str) -> tuple[History, str]:
        live = release(2, State.LIVE, plan=self.plan, created_at=100.0, verified_at=140.0)
        return History(name, (live,)), ""

    def status(self, name: str) -> Any:
        shown = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        return type("Status", (), {"releases": (shown,), "name": name})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(partial(generate, first=0.001, between=0.001)) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def service(server: Server, *seen: ReleaseStatus, high: int = 1) -> Any:
    plan = make_plan("p")
    limits = replace(plan.limits, max_tokens=4, in_flight=3)
    model = replace(plan.model, context=Figure(96, "a test says so"))
    layout = replace(plan.layout, replicas_high=high)
    made = replace(plan, limits=limits, model=model, layout=layout, target_in_flight=2)
    return Service(server.url, made, list(seen or (RUNS,)))


def test_the_file_is_the_replica_with_where_each_figure_is_from(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "profile.yaml"
    measure(service(server), SERVICE, file)
    found = read_profile(file)
    assert (found.slots, found.chunk, found.startup, found.devices) == (128, 2048, 12.5, 1)
    assert found.step_of(1) >= 0.0009
    assert len(server.asked) == WOKEN + READ + (1 + 8) + (1 + 8) + (1 + 9), "1, 2 and 3 at once"
    text = file.read_text()
    assert "startup: 12500ms  # measured" in text
    assert "slots: 128  # planned: max_num_seqs" in text
    assert str(file) in capsys.readouterr().err


def test_a_service_that_follows_its_load_is_not_made_to_grow(
    server: Server, tmp_path: Path
) -> None:
    measure(service(server, high=4), SERVICE, tmp_path / "profile.yaml")
    assert len(server.asked) == WOKEN + READ + (1 + 8) + (1 + 8), "1 and 2 at once"


def test_without_a_measured_start_the_deploy_is_a_bound(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    measure(service(server, replace(RUNS, startup=None, wanted=None)), SERVICE, file)
    assert "startup: 40000ms  # a bound: the whole deploy" in file.read_text()


@pytest.mark.parametrize(
    "seen", [replace(RUNS, wanted=2), replace(RUNS, replicas=0), replace(RUNS, number=1)]
)
def test_replicas_that_come_or_go_are_not_measured(
    server: Server, tmp_path: Path, seen: ReleaseStatus
) -> None:
    with pytest.raises(InputError, match="neither start nor go"):
        measure(service(server, seen), SERVICE, tmp_path / "profile.yaml")


def test_nothing_is_written_where_their_number_changed(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    with pytest.raises(TargetError, match="there were 1 replicas and then 2"):
        measure(service(server, RUNS, replace(RUNS, replicas=2, wanted=2)), SERVICE, file)
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_an_input_error(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        measure(service(server), SERVICE, tmp_path / "none" / "profile.yaml")


def test_a_service_without_a_live_release_is_refused(server: Server, tmp_path: Path) -> None:
    target = service(server)
    target.read = lambda name: (History(name), "")
    with pytest.raises(InputError, match="no release that serves"):
        measure(target, SERVICE, tmp_path / "profile.yaml")
