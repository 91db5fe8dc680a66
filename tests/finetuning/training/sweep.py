"""Kill a run of fine-tuning again and again, wherever that falls, and hold its end against a calm
one's.

    .venv/bin/python -m tests.finetuning.training.sweep [KILLS [SEED]]

By hand, since most kills cost a start of Ray. It is `llmops finetune run` that is started, and
given again when nothing is left of the run. Kills (SIGKILL) fall on the worker, the driver, the
supervisor, the command that watches, or all of them at once: after a random number of steps and a
random moment beyond that, or at a random moment of a start. In some of the starts checkpoints are
sealed slowly, so that kills fall on one. It prints where each fell; the exit code says whether all
of them landed and the weights are those of a training that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from serving.finetune.runs import Named, RunPaths, RunView, view
from serving.finetune.training import job_from_json
from serving.finetune.training.checkpoints import PAUSE, Checkpoints
from tests.finetuning.training import driving, tiny
from tests.finetuning.training.driving import DEADLINE, furthest, weights
from tests.finetuning.training.processes import train_together
from tests.support import program

EVERY = 2
"""Steps between checkpoints."""

PAUSES = ("0", "0.01", "0.05")
"""Seconds for each file of a checkpoint, one of these for each start: with the last, nearly all of
the time is a checkpoint's; with the first, hardly any."""

STEPS = 40
"""Steps for each kill: more than are done until the next one."""

STARTING = 12.0
"""Seconds of a start within which a kill may fall, where no step is waited for."""

SAME = 1e-6
"""By how much a weight may differ."""

ROWS = Path(__file__).parents[3] / "examples" / "finetune" / "data" / "train.jsonl"

NAME = "swept"


class Sweep:
    """A home with one run, and its processes.

    Args:
        place: A folder of its own.
        kills: How many there will be.
    """

    def __init__(self, place: Path, kills: int) -> None:
        home = place / "home"
        home.mkdir(mode=0o700)
        base = tiny.base(place / "base")
        shutil.copyfile(ROWS, place / "rows.jsonl")
        self._spec = place / "finetune.yaml"
        self._spec.write_text(
            f"kind: FineTune\nname: {NAME}\nmodel: {{source: 'file://{base}'}}\n"
            "data: {train: [{source: rows.jsonl}], split: 0.05}\n"
            "method: {kind: lora, rank: 4, dropout: 0.1}\n"
            "hardware: {cores: 1}\n"
            f"training: {{sequence: 256, tokens_per_step: 1024, steps: {STEPS * kills}}}\n"
            f"checkpoints: {{every: {EVERY}}}\n"
        )
        self._environment = os.environ | {"LLMOPS_HOME": str(home)}
        self.paths = RunPaths(Named(home, NAME), 1)
        self.command: subprocess.Popen[bytes] | None = None

    def start(self, pause: str) -> None:
        """Give the command, and wait until its supervisor is at work."""
        self._environment[PAUSE] = pause
        arguments = [str(program.LLMOPS), "finetune", "run", "-f", str(self._spec), "--yes"]
        with self._spec.with_name("command.log").open("ab") as log:
            self.command = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        self.until("had a supervisor", self.supervisor)

    def again(self) -> program.Done:
        """The command given once more, to its end."""
        return program.run(
            ["finetune", "run", "-f", self._spec, "--yes"], self._environment, seconds=DEADLINE
        )

    def seen(self) -> RunView | None:
        return view(self.paths) if self.paths.state.exists() else None

    def until(self, what: str, seen: Callable[[], Any]) -> Any:
        """Wait for something, as closely as a kill needs."""
        deadline = time.monotonic() + DEADLINE
        while not (found := seen()):
            if time.monotonic() > deadline:
                logs = (self._spec.with_name("command.log"), self.paths.log)
                told = [path.read_text()[-3000:] for path in logs if path.exists()]
                raise SystemExit("\n".join([f"never {what}", *told]))
            time.sleep(0.01)
        return found

    def supervisor(self) -> psutil.Process | None:
        """The process that takes the run through its stages."""
        found = self.seen()
        if found is None or not found.running or found.run.supervisor is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(found.run.supervisor.pid)
        return None

    def driver(self) -> psutil.Process | None:
        """The program of the stage that is at work."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return next(iter(above.children()), None) if (above := self.supervisor()) else None
        return None

    def worker(self) -> psutil.Process | None:
        """The process that trains."""
        with contextlib.suppress(psutil.NoSuchProcess, StopIteration):
            below = above.children(recursive=True) if (above := self.driver()) else []
            return next(one for one in below if "RayTrainWorker" in " ".join(one.cmdline()))
        return None

    def watching(self) -> psutil.Process | None:
        """The command, where it was not killed."""
        if self.command is None or self.command.poll() is not None:
            return None
        return psutil.Process(self.command.pid)

    def lines(self) -> int:
        return driving.told(self.paths.folder)

    def processes(self) -> list[psutil.Process]:
        """All that runs for this home."""
        found = []
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                home = one.environ().get("LLMOPS_HOME")
                if one.pid != os.getpid() and home == self._environment["LLMOPS_HOME"]:
                    found.append(one)
        return found

    def close(self) -> None:
        """End what is left."""
        ended = self.processes()
        for one in ended:
            with contextlib.suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(ended, timeout=30)


def order(kills: int, chance: random.Random) -> Iterator[str]:
    """Whom each kill falls on: what ends the whole run comes last, and then it is begun again."""
    fallen, session = 0, 0
    while True:
        turn = ["command", "worker", "driver", chance.choice(("worker", "driver"))]
        chance.shuffle(turn)
        for victim in (*turn, "everything" if session % 2 else "supervisor"):
            yield victim
            if (fallen := fallen + 1) == kills:
                return
        session += 1


def kill(sweep: Sweep, victim: str, chance: random.Random) -> str:
    """Wait for a moment, kill, and say where that was.

    Raises:
        SystemExit: When what has to come of it does not.
    """
    if sweep.supervisor() is None:
        sweep.start(chance.choice(PAUSES))
    _moment(sweep, victim, chance)
    found = sweep.until(f"had a {victim} to kill", lambda: _targets(sweep, victim))
    seen, aside = view(sweep.paths), Checkpoints(sweep.paths.checkpoints, 2).aside
    where = "a checkpoint half-written" if any(aside.glob("*/*")) else "between checkpoints"
    for one in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    if sweep.command is not None and victim in ("command", "everything"):
        sweep.command.wait(60)
    _, left = psutil.wait_procs(found, timeout=60)
    if left:
        raise SystemExit(f"{victim} lives: {left}")
    _came_of_it(sweep, victim, found[0].pid)
    at = f"in the stage {seen.run.stage.value} at step {seen.run.step}, {where}"
    return f"{victim} (pid {found[0].pid}) {at}"


def _targets(sweep: Sweep, victim: str) -> list[psutil.Process]:
    if victim == "everything":
        return sweep.processes()
    looks = {
        "command": sweep.watching, "worker": sweep.worker, "driver": sweep.driver,
        "supervisor": sweep.supervisor,
    }  # fmt: skip
    one = looks[victim]()
    return [] if one is None else [one]


def _moment(sweep: Sweep, victim: str, chance: random.Random) -> None:
    if victim != "worker" and chance.random() < 0.3:
        time.sleep(chance.random() * STARTING)
        return
    begin, further = sweep.lines(), chance.randrange(1, 4)
    sweep.until("had a worker", sweep.worker)
    sweep.until("went on", lambda: sweep.lines() >= begin + further)
    time.sleep(chance.random() * 0.5)


def _came_of_it(sweep: Sweep, victim: str, pid: int) -> None:
    """A worker or driver is replaced by itself; a run outlives its command, and no supervisor."""
    if victim in ("worker", "driver"):
        look = sweep.worker if victim == "worker" else sweep.driver
        sweep.until(f"replaced its {victim}", lambda: (one := look()) and one.pid != pid)
    elif victim == "command" and sweep.supervisor() is None:
        raise SystemExit("the run ended with the command that watched it")
    elif victim == "supervisor" and sweep.watching() is not None:
        assert sweep.command is not None
        if (code := sweep.command.wait(60)) == 0:
            raise SystemExit(f"the command ended with {code} when its supervisor was killed")


def finish(sweep: Sweep, place: Path) -> float:
    """Let the run come to its end; how far its weights are from those of a calm training.

    Raises:
        SystemExit: When it does not succeed.
    """
    sweep.until("came to rest", lambda: sweep.supervisor() is None)
    done = sweep.again()
    if done.code != 0 or view(sweep.paths).state != "succeeded":
        raise SystemExit(f"exit code {done.code}: {done.text[-3000:]}")
    if left := sweep.processes():
        raise SystemExit(f"left behind: {left}")
    calm = replace(job_from_json(sweep.paths.job.read_text()), out=str(place / "calm"))
    calm.folder.mkdir()
    if train_together([calm], calm.folder) != [""]:
        raise SystemExit("the calm training failed")
    if tiny.losses(calm.folder)[-1] > tiny.losses(calm.folder)[0] - 0.05:
        raise SystemExit("the calm training learnt nothing")
    return furthest(weights(sweep.paths.final), weights(calm.folder / "final"))


def main() -> None:
    """Kill, go on, compare."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sweep = Sweep(place, kills)
        try:
            for number, victim in enumerate(order(kills, chance), start=1):
                print(f"kill {number}: {kill(sweep, victim, chance)}", flush=True)
            far = finish(sweep, place)
        finally:
            sweep.close()
        took = time.monotonic() - began
        print(f"{kills} kills in {took:.0f} s; weights differ by {far:.1e} at most")
        raise SystemExit(0 if far < SAME else 1)


if __name__ == "__main__":
    main()
