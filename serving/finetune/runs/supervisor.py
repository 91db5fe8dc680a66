"""The supervisor: the one process that takes a run from its first stage to its end.

Started detached by a command, with the lock of the name already taken, and holding it until it
ends. It does nothing of a stage itself: each is a program of its own, which is started again when
it was killed. So this process stays small, and whatever is killed, the run's folder says what is
left to do. It refuses nothing: what cannot be trained was refused before it was started.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil

from serving.finetune.runs import processes, store
from serving.finetune.runs.causes import explain
from serving.finetune.runs.machine import End, next_stage
from serving.finetune.runs.model import DURING, Attempt, Failure, Process, Run, Stage
from serving.finetune.runs.paths import RunPaths
from serving.finetune.runs.processes import ORPHAN_SECONDS, STOP_SECONDS
from serving.finetune.runs.progress import last_line, last_progress
from serving.lives import life
from serving.locking import sign

POLL = 0.2
"""Seconds between two looks at the program at work."""

PAUSE = 1.0
"""Seconds between two attempts, times the attempts so far."""

Commands = Callable[[RunPaths, Stage], Sequence[str]]
"""The command line of a stage's program."""


def stage_command(paths: RunPaths, stage: Stage) -> Sequence[str]:
    """What does a stage in earnest."""
    if stage is Stage.TRAINING:
        return [sys.executable, "-m", "serving.finetune.training", str(paths.job)]
    return [sys.executable, "-m", "serving.finetune.runs.stages", str(paths.folder), stage.value]


class Supervisor:
    """Takes one run to its end."""

    def __init__(self, paths: RunPaths, lock: IO[str], commands: Commands) -> None:
        self._paths, self._commands = paths, commands
        self._lock = lock
        self._run = store.read(paths)
        self._told = False

    def supervise(self) -> Run:
        """Do what is left to do; the run as it ended."""
        sign(self._lock, f"fine-tuned (run {self._run.number})")
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        me = Process(os.getpid(), life(os.getpid()), socket.gethostname())
        self._put(supervisor=me)
        # What a supervisor that was killed has left is told to end, and has most likely done so.
        processes.end_family(self._paths.folder, kindly=ORPHAN_SECONDS)
        while True:
            seen = store.observe(self._paths, self._run)
            step = next_stage(replace(seen, stop=seen.stop or self._told))
            if isinstance(step, End):
                return self._end(step)
            self._attempt(step.stage)

    def _tell(self, _number: int, _frame: object) -> None:
        self._told = True

    def _stopping(self) -> bool:
        return self._told or self._paths.stop.exists()

    def _attempt(self, stage: Stage) -> None:
        """One start of a stage's program, until it has ended and nothing of it is left."""
        for left in (self._paths.failure, self._paths.waiting):
            left.unlink(missing_ok=True)
        at = store.checkpoint(self._paths) if stage is Stage.TRAINING else 0
        command = self._commands(self._paths, stage)
        program = processes.start(command, self._paths.folder, self._paths.log, dict(os.environ))
        attempt = Attempt(
            stage,
            self._run.session,
            program.pid,
            _start_of(program.pid),
            time.time(),
            at,
        )
        before = self._run.attempts
        self._put(stage=stage, state=DURING[stage], attempts=(*before, attempt))
        self._watch(program)
        processes.end_family(self._paths.folder, kindly=POLL)
        failure = self._why(stage, program.returncode)
        done = replace(attempt, ended=time.time(), failure=failure)
        self._put(attempts=(*before, done), failure=None)
        if failure is not None and failure.again and not self._stopping():
            tries = sum(a.stage is stage and a.session == attempt.session for a in before) + 1
            self._say(f"{failure.message}; trying again ({tries + 1})")
            time.sleep(min(PAUSE * tries, 10.0))

    def _watch(self, program: subprocess.Popen[bytes]) -> None:
        """Wait for a program's end; pass on that it is to stop, and put down how far it is."""
        told: float | None = None
        for _ in processes.waits(program, POLL):
            if told is None and self._stopping():
                told = time.monotonic()
                program.terminate()
            if told is not None and time.monotonic() - told > STOP_SECONDS:
                self._say(f"it has not stopped in {STOP_SECONDS:.0f} s, and is killed")
                program.kill()
            self._note_progress()
        self._note_progress()

    def _note_progress(self) -> None:
        line = last_progress(self._paths.progress)
        step, steps = int(line.get("step", 0)), int(line.get("steps", 0))
        if (step, steps) != (self._run.step, self._run.steps):
            self._put(step=step, steps=steps)

    def _why(self, stage: Stage, code: int) -> Failure | None:
        """Why the program ended; None when its stage is done."""
        if stage in store.observe(self._paths, self._run).done:
            return None
        said = store.read_json(self._paths.failure)
        free = shutil.disk_usage(self._paths.folder).free
        return explain(stage, code, said, last_line(self._paths.log), free)

    def _end(self, end: End) -> Run:
        failure = end.failure
        self._put(state=end.state, failure=failure, ended=time.time(), supervisor=None)
        self._paths.waiting.unlink(missing_ok=True)
        why = f": {failure.message}" if failure else ""
        self._say(f"run {self._run.number} of {self._run.name} ended: {end.state.value}{why}")
        return self._run

    def _put(self, **changes: Any) -> None:
        """Put down what has changed. A full disk keeps the run's programs, and not this one."""
        self._run = replace(self._run, **changes, updated=time.time())
        try:
            store.write(self._paths, self._run)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._say("the disk is full: how far the run is cannot be put down")

    def _say(self, text: str) -> None:
        """A line of the run's log, which is this process's own output."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} supervisor: {text}\n")
        sys.stderr.flush()


def _start_of(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return time.time()


def main(commands: Commands = stage_command) -> None:
    """Supervise the run in the folder that is named, with the lock's descriptor that is handed."""
    folder, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    with os.fdopen(descriptor, "r+") as lock:
        Supervisor(RunPaths.of(folder), lock, commands).supervise()


if __name__ == "__main__":
    main()
