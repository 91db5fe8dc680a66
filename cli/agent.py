"""`llmops agent`: do on this machine what a store says."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from types import FrameType

    from llmops.events import Flow
    from serving.agent import Blobs
    from serving.agent.machine import Agent, Joining, Worker

NAME = "agent"


Store = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="LLMOPS_STORE",
        help="Store of what is wanted: s3://bucket/prefix or file:///folder.",
        metavar="URL",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Private address of this machine, where Ray is to be of several machines.",
        metavar="IP",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="File (0600) with the token that all machines of the Ray share.",
        metavar="FILE",
    ),
]
Leave = Annotated[
    str | None,
    typer.Option(
        "--leave",
        help="With --worker: take this machine out of the Ray, and end. Its replicas are"
        " started elsewhere first, and have this long.",
        metavar="TIME",
    ),
]


def command(
    store: Store,
    once: Annotated[bool, typer.Option("--once", help="Do what is wanted now, then end.")] = False,
    address: Address = None,
    token_file: TokenFile = None,
    worker: Annotated[
        bool, typer.Option("--worker", help="Join the Ray of the store's agent, and do no more.")
    ] = False,
    leave: Leave = None,
) -> None:
    """Serve on this machine what is wanted in a store; runs until it is told to end.

    Commands write what they want with `target: {kind: agent, store: URL}`; this does it, and opens
    no port for that. Told to end (SIGTERM), it stops where it is, and what serves goes on: the
    next agent continues. One agent at a time works for a store.
    """
    from cli.output import Drawer, draw
    from cli.places import home
    from serving.agent import open_blobs
    from serving.agent.machine import Agent, Joining

    joining = Joining.of(address, token_file)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("llmops").setLevel(logging.INFO)
    blobs = open_blobs(store)
    if leave is not None:
        draw(_leaving(blobs, joining, leave, worker=worker), Drawer())
        return
    made = _worker(blobs, joining) if worker else Agent(home(), blobs, joining=joining)
    draw(made.begin(), Drawer())
    _end_on_signals(made)
    made.run(once=once)


def _leaving(blobs: Blobs, joining: Joining | None, within: str, *, worker: bool) -> Flow[None]:
    from llmops.errors import InputError
    from llmops.units import Duration

    if not worker:
        raise InputError(
            "--leave is for a worker: what the agent's own machine serves has no other"
        )
    try:
        seconds = Duration.parse(within).seconds
    except ValueError as error:
        raise InputError(f"--leave: {error}", hint="such as 5min") from error
    return _worker(blobs, joining).leave(seconds)


def _worker(blobs: Blobs, joining: Joining | None) -> Worker:
    from cli.places import home
    from llmops.errors import InputError
    from serving.agent.machine import Worker

    if joining is None:
        raise InputError("--worker needs --address and --token-file, to join a Ray of several")
    return Worker(home(), blobs, joining)


def _end_on_signals(made: Agent | Worker) -> None:
    """From here on a signal ends it at a safe point, and takes nothing back."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        made.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
