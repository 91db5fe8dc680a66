"""The counts of a key's day and month outlive the runtime that is killed with all it has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.stage import Stage, free_port

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(900)]

NAME = "counted"
DAILY = 400
PRICE = 25
"""US dollars for a million tokens."""
MONTHLY = 0.01
"""US dollars: by that price as many tokens as `DAILY`."""
ASKED = 100
"""Tokens of each answer."""


@pytest.fixture
def alone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A runtime of this test's own, since it is killed."""
    home = tmp_path_factory.mktemp("counted")
    home.chmod(0o700)
    made = Stage(home, tmp_path, free_port())
    yield made
    made.run("destroy", NAME, "--yes")
    made.end()


def spec(stage: Stage, model: Path) -> Path:
    limits = f"daily: {{tokens_per_day: {DAILY}}}, monthly: {{usd_per_month: {MONTHLY}}}"
    prices = f"{{input_usd: {PRICE}, output_usd: {PRICE}}}"
    return stage.spec(
        NAME, f"file://{model}", security=f"{{prices: {prices}, per_key: {{{limits}}}}}"
    )


def ask(stage: Stage, key: str) -> httpx.Response:
    return stage.complete(NAME, key, max_tokens=ASKED, ignore_eos=True)


def use_up(stage: Stage, key: str) -> tuple[int, httpx.Response]:
    """Tokens that were answered before the first refusal, and that."""
    used = 0
    for _ in range(DAILY):
        answer = ask(stage, key)
        if answer.status_code != 200:
            return used, answer
        used += answer.json()["usage"]["total_tokens"]
    raise AssertionError("nothing was refused")


def kill_all(stage: Stage) -> None:
    family = stage.processes()
    print(f"killed {len(family)} processes: {sorted(p.pid for p in family)}")
    assert len(family) > 3, "there was nothing to kill"
    for process in family:
        process.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, "the fault did not land"


def test_what_was_used_today_and_this_month_is_used_after_everything_was_killed(
    alone: Stage, model: Path
) -> None:
    path = spec(alone, model)
    done = alone.deploy(path)
    assert done.code == 0, done.text
    keys = {name: alone.key(NAME, name) for name in ("daily", "monthly")}
    limits = {"daily": "tokens_per_day", "monthly": "usd_per_month"}
    used = {}
    for name, key in keys.items():
        used[name], refused = use_up(alone, key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, limits[name])
        assert DAILY - 2 * ASKED < used[name] <= DAILY
    days = [time.time() // 86400]
    kill_all(alone)
    done = alone.deploy(path)
    assert done.code == 0, done.text
    days.append(time.time() // 86400)
    known = json.loads((alone.home / "usage.json").read_text())
    most = used["daily"] + DAILY // 64 + 3 * ASKED
    assert used["daily"] <= known[f"{NAME}/daily"]["day"][1] <= most
    assert used["monthly"] * PRICE * 10**6 <= known[f"{NAME}/monthly"]["month"][1]
    again = {name: ask(alone, key) for name, key in keys.items()}
    assert again["monthly"].status_code == 429, "the month was given twice"
    if days[0] == days[1]:  # else a new day has begun meanwhile, and it has all of its tokens
        assert again["daily"].status_code == 429, "the day was given twice"
        assert again["daily"].json()["error"]["code"] == "tokens_per_day"
