"""What an upgrade means in a namespace: an image's labels against what serves; no registry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clusters import upgrade
from clusters.image import Labels, Unreachable
from llmops.errors import InputError, RefusedError
from llmops.releases import History, Phase, State
from llmops.upgrading import Change, Upgrade
from tests.releases.plans import SERVICE, make_plan, release
from tests.releases.simulated import App, SimulatedTarget

OLD, NEW = "registry.example/llm@sha256:0", "registry.example/llm@sha256:1"
LABELS = Labels("0.2.0", "vllm 0.32.0", "2.60.0", "3.12", "", "")
RUNS = {"llmops": "0.1.0", "ray": "2.59.0", "engine": "vllm 0.31.0"}
SAME = {"llmops": "0.2.0", "ray": "2.60.0", "engine": "vllm 0.32.0"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images whose labels were read."""
    found: list[str] = []

    def read(image: str) -> Labels:
        found.append(image)
        return LABELS

    monkeypatch.setattr(upgrade, "read_labels", read)
    return found


def world(engine: str) -> SimulatedTarget:
    plan = make_plan("p1")
    plan = replace(plan, image=OLD, asked={"name": SERVICE},
                   engine=replace(plan.engine, version=engine))  # fmt: skip
    made = SimulatedTarget(apps={1: App(Phase.READY)}, shares={1: 100})
    made.store.history = History(SERVICE, (release(1, State.LIVE, plan=plan),))
    return made


def compared(
    target: SimulatedTarget, telling: list[Any], image: str = "", **wanted: str
) -> Upgrade:
    return upgrade.compared(target, telling, SERVICE, image, wanted)


def test_what_the_image_of_the_live_release_has_is_what_runs(asked: list[str]) -> None:
    found = compared(world("vllm 0.32.0"), [SAME])
    assert found.nothing
    assert asked == [OLD]


def test_another_image_is_a_new_release_and_no_restart(asked: list[str]) -> None:
    found = compared(world("vllm 0.31.0"), [RUNS], NEW)
    assert asked == [NEW]
    assert not found.restart
    assert {change.part for change in found.changes} == {"llmops", "ray", "engine", "image"}
    assert found.order == (f"a new release of {SERVICE} on vllm 0.32.0",)
    rebuilt = compared(world("vllm 0.32.0"), [SAME], NEW)
    assert rebuilt.changes == (Change("image", OLD, NEW),)
    assert rebuilt.services[0].redeploy


def test_a_version_that_the_image_has_not_is_in_the_way(asked: list[str]) -> None:
    found = compared(world("vllm 0.32.0"), [SAME], vllm="0.33.0")
    assert found.problems == ("the image has no vllm==0.33.0",)


def test_an_image_that_tells_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Labels | Unreachable] = [
        Unreachable("registry.example did not answer", "look"),
        Labels("", "", "", "", "", ""),
    ]
    monkeypatch.setattr(upgrade, "read_labels", lambda _: answers.pop(0))
    with pytest.raises(RefusedError, match="did not answer"):
        compared(world("vllm 0.32.0"), [SAME])
    with pytest.raises(RefusedError, match=r"no label llmops\.version"):
        compared(world("vllm 0.32.0"), [SAME])


def test_a_service_that_does_not_serve_has_nothing_to_upgrade(asked: list[str]) -> None:
    gone = SimulatedTarget()
    with pytest.raises(InputError, match="no live release"):
        compared(gone, [])
    silent = compared(world("vllm 0.32.0"), [])
    assert silent.running is None
    assert silent.nothing
