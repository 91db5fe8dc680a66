"""A watch on an agent's machine that a command ends by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops import watched
from llmops.errors import InputError, LlmopsError
from llmops.events import Finished
from llmops.releases import Release
from serving.agent.orders import Orders
from serving.agent.words import Fault, Outcome
from tests.agent.test_agent import Site
from tests.agent.worlds import error_of
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import run

BY = "ann@desk"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(watched, "LOOKS", 0.05)
    return Site(tmp_path)


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end, "it did not come true in 60 s"
        time.sleep(0.02)


def served(finished: Finished) -> Release:
    assert finished.release is not None
    return finished.release


class Watching:
    """A command that deploys, and whose release is watched until somebody ends that."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.ended: Any = None
        self._thread = threading.Thread(target=self._deploy, daemon=True)
        self._thread.start()
        until(lambda: site.machine.shares.get(2) == 10)

    def _deploy(self) -> None:
        deployment = make_deployment("two", strategy="canary", canary={"watch": "1d"})
        try:
            flow = self._site.command().deploy(deployment, planner=plan_of)
            self.ended = served(run(flow)[1]).number
        except LlmopsError as error:
            self.ended = error.message

    def end(self) -> Any:
        self._thread.join(60)
        return self.ended


def states(site: Site) -> list[str]:
    return [release.state.value for release in site.machine.store.read(SERVICE)[0].releases]


def test_the_command_that_deploys_ends_well_when_another_promotes(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        deploys = Watching(site)
        _, finished = run(site.command().promote(SERVICE, by=BY))
        assert deploys.end() == 2
    assert (served(finished).number, served(finished).ended_by) == (2, BY)
    assert (states(site), site.machine.shares) == (["retired", "live"], {2: 100})


def test_the_command_that_deploys_fails_when_another_takes_it_back(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        deploys = Watching(site)
        _, finished = run(site.command().rollback(SERVICE, by=BY))
        assert "release 2 was taken back by ann@desk; release 1 still serves" in deploys.end()
    assert served(finished).number == 1
    assert (states(site), site.machine.shares) == (["live", "failed"], {1: 100})


@pytest.mark.parametrize(("promoted", "serves"), [(True, 2), (False, 1)])
def test_where_no_order_is_left_there_is_one_to_end_it(
    site: Site, promoted: bool, serves: int
) -> None:
    with site.agent():
        site.deploy("one")
        deploys = Watching(site)
    assert "was stopped" in deploys.end()
    orders = Orders(site.blobs)
    [left] = orders.pending()
    orders.finish(left, Outcome(time.time(), fault=Fault("TargetError", "it was lost")))
    with site.agent():
        command = site.command()
        verb = command.promote if promoted else command.rollback
        _, finished = run(verb(SERVICE, by=BY))
    assert served(finished).number == serves
    assert site.machine.shares == {serves: 100}
    assert orders.pending() == ()


def test_without_a_watch_nothing_is_promoted(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        error = error_of(lambda: run(site.command().promote(SERVICE, by=BY)))
    assert isinstance(error, InputError)
    assert error.message == "no release of chat is being watched"
