"""A fork server that has imported the engine, so that its processes start without importing it.

vLLM starts an engine core and one worker per shard as fresh interpreters, one after another, and
each imports the same ten seconds of modules. Here they are forked from one process that has
imported them already, and that does so on another core while the API's own imports run. What was
measured is in docs/performance.md; `benchmarks/startup.py` repeats it.

`spawn`, which vLLM asks for inside a Ray actor, is answered with this fork server. That is safe
because the server only ever imports: it starts no thread, opens no device and runs no OpenMP
region. A forked process would keep the server's environment, so each one is handed its parent's.
What a library reads from the environment once, when it is loaded (OpenMP: `OMP_NUM_THREADS`),
must be set before `start` is called.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.context
import os
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker

_SERVER = forkserver._forkserver  # noqa: SLF001 - the singleton


def _already_running() -> None:
    """A child uses the server that it was forked from, whose address it has inherited."""


class _Process(multiprocessing.context.ForkServerProcess):
    """A process that begins with its parent's environment and forks from the same server."""

    def start(self) -> None:
        self._environment = dict(os.environ)
        with _no_main():
            super().start()

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._environment)
        # Without this a child would start a second, cold server of its own for the workers.
        _SERVER.ensure_running = _already_running  # type: ignore[method-assign]
        install()
        super().run()


class _Context(multiprocessing.context.ForkServerContext):
    Process = _Process


def install() -> None:
    """Answer `multiprocessing.get_context("spawn")` with the fork server, in this process.

    Idempotent.
    """
    original = multiprocessing.get_context
    if getattr(original, "answers_spawn_warm", False):
        return
    warm = _Context()

    def get_context(method: str | None = None) -> multiprocessing.context.BaseContext:
        return warm if method == "spawn" else original(method)

    get_context.answers_spawn_warm = True  # type: ignore[attr-defined]
    multiprocessing.get_context = get_context  # type: ignore[assignment]


def start(modules: Sequence[str]) -> None:
    """Start the fork server and let it import `modules`; returns at once.

    A module that cannot be imported is left out: the process that needs it reports it.
    """
    multiprocessing.set_forkserver_preload([__name__, *modules])
    with _no_main():
        forkserver.ensure_running()
    install()


def stop(within: float) -> None:
    """End the fork server and the tracker of its processes' shared memory, whose end takes away
    what they left of it. To be called when they have ended: one that hangs is waited for `within`
    seconds.

    Ray kills the children of a process that ends, the tracker among them: the segments would stay.
    """
    # Nobody waits at the end of this process for a thread that is a daemon.
    ending = threading.Thread(target=_stop, daemon=True)
    ending.start()
    ending.join(within)


def _stop() -> None:
    _SERVER._stop()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]  # noqa: SLF001


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Hide this program's main module: children must not run a Ray worker's script again."""
    import __main__

    spec, file = __main__.__spec__, __main__.__dict__.pop("__file__", None)
    __main__.__spec__ = None
    try:
        yield
    finally:
        __main__.__spec__ = spec
        if file is not None:
            __main__.__file__ = file
