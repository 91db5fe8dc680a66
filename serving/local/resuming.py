"""The process that goes on with a watch whose command was killed; the runtime's host starts it.

Run as `python -m serving.local.resuming HOME SERVICE`. It does what the command would have done,
with the same lock and record; and it gives way to any command, which then does what it was told
to. It ends with the host that started it, whatever ends that.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from llmops import workflow
from llmops.errors import BusyError, LlmopsError
from llmops.events import Event, Progress, StepBegun
from serving.local.target import LocalTarget
from serving.locking import ServiceLock

DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of <sys/prctl.h>."""

log = logging.getLogger("llmops.resuming")


class Resuming(LocalTarget):
    """This machine, for who gives way to whoever wants to change a service."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._locks = ServiceLock(home / "locks")

    def lock(self, service: str, purpose: str) -> AbstractContextManager[None]:
        """Be the only writer of `service`, until another wants to be."""
        return self._locks.hold(service, purpose, gives_way=True)


def main() -> None:
    """Go on with the watch of a service to its end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    service = sys.argv[2]
    flow = workflow.resume(Resuming(Path(sys.argv[1])), service)
    if os.getppid() == 1:  # the host ended before it could be told
        return
    try:
        for event in flow:
            if text := _told(event):
                log.info("%s: %s", service, text)
    except BusyError:
        return
    except LlmopsError as error:
        log.info("%s: %s", service, error.message)


def _told(event: Event) -> str:
    """What belongs in a log: steps, and what came of a watch; not each of its moments."""
    if isinstance(event, StepBegun):
        return event.text
    is_outcome = isinstance(event, Progress) and event.phase == "watch" and event.deadline is None
    return event.reason if isinstance(event, Progress) and is_outcome else ""


if __name__ == "__main__":
    main()
