"""What a replica leaves of its death tells a crash of its own from a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.runtime.dying import KEPT, Death, laid_to_requests

ACTOR = "8f3c"
ALIVE = "import time; print('up', flush=True); time.sleep(60)"


def end(folder: Path, code: str, number: int = 0) -> int:
    """Run code in a process that has a death of its own; strike it by a signal once it is up."""
    program = (
        "from pathlib import Path; from serving.runtime.dying import Death\n"
        f"death = Death(Path({str(folder)!r}), {ACTOR!r})\n{code}"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout as out:
        if number:
            assert out.readline() == b"up\n"
            process.send_signal(number)
        return process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_of_its_own_is_laid_to_requests(tmp_path: Path, number: signal.Signals) -> None:
    assert end(tmp_path, f"import os; os.kill(os.getpid(), {int(number)})") == -number
    assert laid_to_requests(tmp_path, ACTOR) == ACTOR


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_from_outside_is_not(tmp_path: Path, number: signal.Signals) -> None:
    assert end(tmp_path, ALIVE, number) == -number
    assert laid_to_requests(tmp_path, ACTOR) == ""


def test_of_a_replica_elsewhere_nobody_can_tell(tmp_path: Path) -> None:
    assert laid_to_requests(tmp_path, ACTOR) == ACTOR


@pytest.fixture
def death(tmp_path: Path) -> Death:
    """A death in this process, whose own fault handler writes elsewhere again at the end."""
    import faulthandler

    made = Death(tmp_path, ACTOR)
    faulthandler.enable()
    return made


@pytest.mark.parametrize(
    ("exits", "own"),
    [((1,), True), ((-signal.SIGSEGV,), True), ((), True), ((-signal.SIGKILL,), False),
     ((1, -signal.SIGTERM), False)],
)  # fmt: skip
def test_an_engine_says_how_it_ended(
    death: Death, tmp_path: Path, exits: tuple[int, ...], own: bool
) -> None:
    assert death.engine(exits) == (ACTOR if own else "")
    assert bool(laid_to_requests(tmp_path, ACTOR)) is own


def test_an_engine_that_hung_may_have_done_so_for_a_request(death: Death, tmp_path: Path) -> None:
    death.hung()
    assert laid_to_requests(tmp_path, ACTOR) == ACTOR


def test_old_deaths_are_forgotten(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.touch()
    os.utime(old, (0, KEPT))
    Death(tmp_path, ACTOR)
    assert [file.name for file in tmp_path.iterdir()] == [ACTOR]
    import faulthandler

    faulthandler.enable()
