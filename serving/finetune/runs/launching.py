"""Begin a run, go on with one, stop one: what commands do, under the lock of the name.

The lock is taken before anything is looked at, and handed to the supervisor as an open file, so it
is free at no moment in between: of two commands one wins, and the other is told by whom.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psutil

from llmops.errors import BusyError, InputError, LlmopsError, TargetError
from serving.finetune.runs import processes, store
from serving.finetune.runs.model import DURING, Run, State
from serving.finetune.runs.paths import Named, RunPaths
from serving.finetune.runs.processes import ORPHAN_SECONDS, STOP_SECONDS
from serving.finetune.runs.telling import moment
from serving.finetune.runs.view import alive

if TYPE_CHECKING:
    from llmops.events import Progress

POLL = 0.2

SIGN_SECONDS = 60.0
"""How long a supervisor may take until it has put down who it is; under a second, most often."""

PROGRAM = (sys.executable, "-m", "serving.finetune.runs.supervisor")
"""The supervisor's command line, before the run's folder and the lock's descriptor."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run whose supervisor was started by this process."""

    paths: RunPaths
    process: subprocess.Popen[bytes]


class Claim:
    """The right to work on the runs of a name, for as long as the block lasts.

    Raises:
        BusyError: On entering, at once; naming who has it and since when.
    """

    def __init__(self, named: Named, purpose: str) -> None:
        self.named, self._purpose = named, purpose
        self._handed = False

    def __enter__(self) -> Self:
        self._lock = store.lock(self.named, self._purpose)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._handed:
            self._lock.seek(0)
            self._lock.truncate()
        self._lock.close()

    def last(self) -> tuple[RunPaths, Run] | None:
        """The newest run; None when there is none."""
        numbers = self.named.numbers()
        if not numbers:
            return None
        paths = self.named.run(numbers[-1])
        return paths, store.read(paths)

    def create(self, spec: Mapping[str, Any], identity: str, revision: str) -> RunPaths:
        """A new run.

        Args:
            spec: What is asked for, with every place in full.
            identity: Digest of it, of the data and of the base.
            revision: What pins the base.
        """
        return store.create(self.named, spec, identity, revision)

    def reopen(self, paths: RunPaths) -> None:
        """Have a run that has not been judged go on: what it has done stays done.

        Raises:
            InputError: When nothing is left to do.
        """
        run = store.read(paths)
        if run.state.judged:
            raise InputError(
                f"run {run.number} of {run.name} has ended: {run.state.value}",
                hint="llmops finetune run begins another",
            )
        paths.stop.unlink(missing_ok=True)
        store.write(
            paths,
            replace(
                run,
                state=DURING[run.stage],
                session=run.session + 1,
                ended=None,
                failure=None,
                note="",
                supervisor=None,
                updated=time.time(),
            ),
        )

    def close(self, paths: RunPaths, note: str) -> Run:
        """Put down that a run that nobody is at work on has stopped."""
        processes.end_family(paths.folder, kindly=ORPHAN_SECONDS)
        run = store.read(paths)
        if not run.state.ended:
            now = time.time()
            run = replace(
                run, state=State.STOPPED, note=note, supervisor=None, ended=now, updated=now
            )
            store.write(paths, run)
        return run

    def launch(self, paths: RunPaths, program: Sequence[str] | None = None) -> Started:
        """Start the supervisor, detached, and hand it the lock."""
        descriptor = self._lock.fileno()
        with paths.log.open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            process = subprocess.Popen(
                [*(program or PROGRAM), str(paths.folder), str(descriptor)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(descriptor,),
                cwd="/",
            )
        self._handed = True
        return Started(paths, process)


def signed(started: Started) -> None:
    """Wait until the supervisor is at work.

    Raises:
        TargetError: When it ended at once.
    """
    began = time.monotonic()
    while not _is_signed(started):
        if started.process.poll() is not None:
            raise lost(started.paths)
        if time.monotonic() - began > SIGN_SECONDS:
            raise TargetError("the supervisor does not come up", hint=f"see {started.paths.log}")
        time.sleep(POLL)


def _is_signed(started: Started) -> bool:
    run = store.read(started.paths)
    pid = started.process.pid
    return run.state.ended or (run.supervisor is not None and run.supervisor.pid == pid)


def lost(paths: RunPaths) -> LlmopsError:
    """That a run's supervisor is gone before the run's end."""
    name = paths.named.name
    return TargetError(
        f"the supervisor of run {paths.number} of {name} is gone",
        hint=f"llmops finetune resume {name} goes on from what is done; {paths.log} may say why",
    )


def stop(paths: RunPaths) -> Generator[Progress, None, Run]:
    """Have a run stop with a checkpoint; the run as it then is. One that has ended stays as it is.

    Raises:
        TargetError: When it does not stop in time.
    """
    from llmops.events import Progress  # what a supervisor, which reads this file too, does without

    began = time.monotonic()
    deadline = STOP_SECONDS + ORPHAN_SECONDS
    signalled = False
    while not (run := store.read(paths)).state.ended:
        elapsed = time.monotonic() - began
        if elapsed > deadline:
            raise TargetError(
                f"run {run.number} of {run.name} has not stopped in {deadline:.0f} s",
                hint=f"see {paths.log}",
            )
        if not signalled:
            paths.stop.touch(mode=0o600)
        if alive(run):
            signalled = signalled or _signal(run)
            yield Progress("stop", "waiting for a checkpoint", elapsed, deadline)
        elif (closed := _closed(paths)) is not None:
            return closed
        time.sleep(POLL)
    return run


def _signal(run: Run) -> bool:
    if run.supervisor is not None:
        try:
            psutil.Process(run.supervisor.pid).send_signal(signal.SIGTERM)
        except psutil.Error:
            return False  # it has just ended: the next look tells how
    return True


def _closed(paths: RunPaths) -> Run | None:
    """The run, put down as stopped; None when somebody has just begun to work on it."""
    try:
        with Claim(paths.named, "stopped") as claim:
            return claim.close(paths, "it was stopped while nobody was at work on it")
    except BusyError:
        return None


def follow(
    paths: RunPaths, process: subprocess.Popen[bytes] | None = None
) -> Generator[Progress, None, Run]:
    """Watch a run until it ends; the run as it then is.

    Args:
        paths: The run's.
        process: Its supervisor, when this process has started it.

    Raises:
        TargetError: When its supervisor is gone.
    """
    while True:
        gone = process.poll() is not None if process else not alive(store.read(paths))
        run = store.read(paths)  # after that look: a supervisor's last act is to put down the end
        if run.state.ended:
            return run
        if gone:
            raise lost(paths)
        yield moment(paths, run, time.time())
        time.sleep(POLL)
