"""Pairs of writers begun together, as processes of the installed program on one real runtime.

Releases differ by adapters of one engine, so a change takes seconds. `test_two_writers` has the
interleavings that processes never meet. Each race must end as one writer after the other would;
who is turned away names the winner, at once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.adapted import ADAPTERS, ALONE, NAME, Adapted, adapted
from tests.chaos.racing import Ran, together
from tests.e2e.stage import Stage

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(2700)]

ROUNDS = {"changes": 60, "keys": 60, "policies": 60, "besides": 24, "destroy": 2}
"""Races of each kind; together they are at least 200."""
EFFORT = 2.0
"""Seconds of the processor within which a loser has been told: by the clock where nothing else
runs."""
PURPOSES = {"deploy": "deployed", "rollback": "rolled back", "destroy": "destroyed"}
POLICY = """\
kind: Policy
name: limits
security: {{limits: {{requests_per_minute: {most}}}}}
"""
MOST = 100_000
"""More requests per minute than any key here may make: what is applied changes no release."""


@dataclass
class World:
    """The service, its keys and policies, and races of commands about them."""

    service: Adapted
    longest: float = 0.0
    """Seconds by the clock until a loser was told."""
    turned_away: int = 0

    @property
    def stage(self) -> Stage:
        return self.service.stage

    def race(self, *commands: list[str]) -> list[Ran]:
        """Run commands together; in the order in which they have ended."""
        ended = together(self.stage.environment, *commands)
        for ran in ended:
            assert "Traceback" not in ran.text, ran.text
            if ran.code == 3:
                self.turned_away += 1
                self.longest = max(self.longest, ran.ended - ran.began)
                assert ran.effort <= EFFORT, f"told after {ran.effort:.1f} s of the processor"
        return ended

    def valid(self) -> list[str]:
        """Names of the keys that open."""
        listed = self.stage.run("keys", "list", NAME, "-o", "json").json()["keys"]
        return [key["name"] for key in listed if key["state"] == "valid"]

    def opens(self, key: str) -> bool:
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.get(f"{self.stage.url}/v1/models", headers=headers, timeout=60)
        return answer.status_code == 200

    def policies(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.stage.run(
            "policy", "list", "--all", "-o", "json"
        ).json()["policies"]
        return listed


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with adapted(tmp_path_factory.mktemp("raced")) as service:
        made = World(service)
        yield made
        print(f"{made.turned_away} turned away, the last told after {made.longest:.1f} s")


def assert_named(winner: Ran, loser: Ran) -> None:
    """The loser was told who is at work, and not only once that one had ended."""
    said = f"{NAME} is being {PURPOSES[winner.verb]} by pid {winner.pid} "
    assert said in loser.text, loser.text


def winner_of(ended: list[Ran]) -> Ran:
    """Who had the last word: the only one that was not turned away, or the last of both."""
    by_code = sorted(ended, key=lambda ran: -ran.code)  # a winner may end before the other has
    codes = [ran.code for ran in by_code]
    assert codes in ([3, 0], [0, 0]), [(ran.arguments, ran.code, ran.text) for ran in ended]
    if codes == [3, 0]:
        assert_named(by_code[1], by_code[0])
    return by_code[1]


def test_the_races_are_many() -> None:
    assert sum(ROUNDS.values()) >= 200


def test_of_two_changes_one_wins_and_the_other_is_told_by_whom(world: World) -> None:
    draw, before = random.Random(1), world.turned_away
    writers = {"rollback": world.service.rollback(1)} | {
        adapter: world.service.deploy(adapter) for adapter in (ALONE, *ADAPTERS)
    }
    means = {name: ALONE if name == "rollback" else name for name in writers}
    for _ in range(ROUNDS["changes"]):
        one, other = draw.sample(sorted(writers), 2)
        winner = winner_of(world.race(writers[one], writers[other]))
        meant = next(means[name] for name in (one, other) if writers[name] == [*winner.arguments])
        assert world.service.settled() == meant, winner.text
    assert world.turned_away - before >= ROUNDS["changes"] // 2, "hardly any were at once"


def test_of_two_keys_of_one_name_one_is_made(world: World) -> None:
    for number in range(ROUNDS["keys"] // 2):
        name = f"key-{number}"
        command = ["keys", "create", NAME, "-k", name, "-o", "json"]
        first, second = sorted(world.race(command, command), key=lambda ran: ran.code)
        assert (first.code, second.code) == (0, 2), (first.text, second.text)
        assert f"{NAME} has a key named '{name}'" in second.text
        assert world.valid().count(name) == 1
        assert world.opens(json.loads(first.text)["key"])


def test_a_key_that_is_revoked_while_it_is_rotated_is_one_or_the_other(world: World) -> None:
    for number in range(ROUNDS["keys"] // 2):
        name = f"key-{number}"
        if name not in world.valid():
            world.stage.key(NAME, name)
        rotate = ["keys", "rotate", NAME, name, "-o", "json"]
        ended = world.race(rotate, ["keys", "revoke", NAME, name])
        rotated = next(ran for ran in ended if ran.arguments[1] == "rotate")
        revoked = next(ran for ran in ended if ran.arguments[1] == "revoke")
        assert revoked.code == 0, revoked.text
        assert name not in world.valid(), "a key outlived its end"
        if rotated.code == 0:
            assert not world.opens(json.loads(rotated.text)["key"])
        else:
            assert (rotated.code, "has no key" in rotated.text) == (2, True), rotated.text


def test_of_two_policies_of_one_name_the_last_holds_and_none_is_lost(
    world: World, tmp_path: Path
) -> None:
    for number in range(ROUNDS["policies"]):
        before, files = world.policies(), []
        for side in (0, 1):
            files.append(tmp_path / f"{number}-{side}.yaml")
            files[-1].write_text(POLICY.format(most=MOST + 2 * number + side))
        ended = world.race(*(["policy", "apply", "-f", str(file), "--yes"] for file in files))
        won = [ran for ran in ended if ran.code == 0]
        for loser in (ran for ran in ended if ran.code != 0):
            assert (loser.code, "who applied limits (version" in loser.text) == (3, True)
        assert won, [ran.text for ran in ended]
        entries = world.policies()
        assert len(entries) == len(before) + len(won)
        shown = world.stage.run("policy", "show", "limits").out
        assert shown in [Path(ran.arguments[3]).read_text() for ran in won]


def test_a_change_and_what_is_none_of_its_business_both_happen(
    world: World, tmp_path: Path
) -> None:
    adapters = [ALONE, *ADAPTERS]
    for number in range(ROUNDS["besides"]):
        adapter, name = adapters[number % len(adapters)], f"beside-{number}"
        file = tmp_path / "beside.yaml"
        file.write_text(POLICY.format(most=2 * MOST + number))
        besides: list[list[str]] = [
            ["keys", "create", NAME, "-k", name], ["policy", "apply", "-f", str(file), "--yes"],
        ]  # fmt: skip
        ended = world.race(world.service.deploy(adapter), besides[number % 2])
        assert [ran.code for ran in ended] == [0, 0], [ran.text for ran in ended]
        assert world.service.settled() == adapter
        if number % 2:
            assert world.stage.run("policy", "show", "limits").out == file.read_text()
        else:
            assert name in world.valid()


@pytest.mark.parametrize("other", ["deploy", "rollback"])
def test_a_destroy_and_a_change_end_as_the_one_that_won(world: World, other: str) -> None:
    change = world.service.deploy(ADAPTERS[0]) if other == "deploy" else world.service.rollback(1)
    for number in range(ROUNDS["destroy"] // 2):
        winner = winner_of(world.race(["destroy", NAME, "--yes"], change))
        if winner.verb == "destroy":
            history = world.stage.run("history", NAME, "-o", "json").json()["releases"]
            assert "live" not in {one["state"] for one in history}
            done = world.stage.run(*world.service.deploy(ALONE))
            assert done.code == 0, done.text
        # The other may have gone with the service.
        world.service.key = world.stage.key(NAME, f"after-{other}-{number}")
        assert world.service.settled() == (ADAPTERS[0] if winner.verb == "deploy" else ALONE)
