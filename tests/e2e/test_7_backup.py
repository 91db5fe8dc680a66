"""A service put back on an empty machine from a backup, for real.

The heavier tier: an engine starts three times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, free_port
from tests.e2e.test_6_kills import run_until

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1500)]

NAME = "kept"


@dataclass(frozen=True)
class Kept:
    """A backup of a machine that is gone, the key of it, and an API key that was in use there."""

    place: str
    key_file: str
    api_key: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Kept, int]:
    """Deploy on a machine, back it up, and lose the machine; the port that it served on too."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "home").mkdir(mode=0o700)
    first = Stage(folder / "home", folder, free_port())
    try:
        done = first.deploy(first.spec(NAME, f"file://{model}"))
        assert done.code == 0, done.text
        api_key = first.key(NAME, "team")
        key_file, place = str(folder / "key"), f"file://{folder}/kept"
        assert first.run("backup", "key", key_file).code == 0
        done = first.run("backup", "--all", "--to", place, "--key-file", key_file)
        assert done.code == 0, done.text
    finally:
        first.end()
    return Kept(place, key_file, api_key), first.port


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, kept: tuple[Kept, int]) -> Iterator[Stage]:
    """An empty machine."""
    folder = tmp_path_factory.mktemp("second")
    (folder / "home").mkdir(mode=0o700)
    made = Stage(folder / "home", folder, kept[1])
    yield made
    made.run("destroy", NAME, "--yes")
    made.end()


def answers(stage: Stage, key: str) -> bool:
    done = stage.complete(NAME, key)
    return done.status_code == 200 and done.json()["usage"]["completion_tokens"] > 0


def kill(stage: Stage, at: str, *arguments: str) -> None:
    """Begin a command, and kill -9 it when it says something."""
    process = stage.start(*arguments)
    run_until(process, at)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_an_empty_machine_serves_again_though_the_first_try_was_killed(
    kept: tuple[Kept, int], second: Stage
) -> None:
    backup, _ = kept
    arguments = ("restore", "--from", backup.place, "--key-file", backup.key_file, "--yes")
    kill(second, "runtime: starting", *arguments)
    done = second.run(*arguments)
    assert done.code == 0, done.text
    assert second.live(NAME) == 2
    [one, two] = second.run("history", NAME, "-o", "json").json()["releases"]
    assert (one["state"], two["state"], two["rollback_of"]) == ("retired", "live", 1)
    assert answers(second, backup.api_key)
    again = second.run(*arguments)
    assert again.code == 0, again.text
    assert second.live(NAME) == 2
