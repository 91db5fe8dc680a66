"""Plans carried out: command by command on each host, many hosts at once, and looked at again.

A host whose command fails is left there and told, with what the command said; the others go on.
Afterwards every host is asked again, and one that is still not as wanted has failed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bare_metal.hosts.connection import MOST_AT_ONCE, Connector, Unreachable, Writer, over
from bare_metal.hosts.facts import ask, facts_of, understood
from bare_metal.hosts.operations.model import Change, Desired
from bare_metal.hosts.operations.planning import HostPlan, plan
from bare_metal.inventory import Placed

LOOK_SECONDS = 300.0
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True, slots=True)
class Done:
    """A host is as wanted."""

    changes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A command failed, or what it did did not stay."""

    why: str
    changes: int
    """Commands that were done before."""


Outcome = Done | Failed | Unreachable


def apply(
    plans: Mapping[str, HostPlan],
    hosts: Sequence[Placed],
    wants: Mapping[str, Desired],
    by: Connector,
    *,
    most: int = MOST_AT_ONCE,
    told: Callable[[str, str], None] = lambda _host, _line: None,
) -> dict[str, Outcome]:
    """Carry plans out.

    Args:
        plans: What is to do, by host.
        hosts: The hosts to do it on.
        wants: What is wanted, by host, for the look afterwards.
        by: The way to them.
        most: Hosts at once.
        told: Called with a host's name and a line, as things are done.

    Returns:
        An entry for each host.
    """

    async def one(host: Placed) -> Done | Failed:
        changes = plans[host.name].changes
        async with by.writing(host) as session:
            for number, change in enumerate(changes):
                told(host.name, change.why)
                failure = await _run(session, change)
                if failure is not None:
                    return Failed(failure, number)
            return await _looked_at(session, wants[host.name], len(changes))

    def through(host: Placed, outcome: Outcome) -> None:
        told(host.name, _line(outcome))

    seconds = max((sum(c.seconds for c in plans[host.name].changes) for host in hosts), default=0.0)
    return asyncio.run(over(hosts, one, seconds=seconds + LOOK_SECONDS, most=most, told=through))


def _line(outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        return f"done, {outcome.changes} changes"
    return outcome.why if isinstance(outcome, Failed) else outcome.reason


async def _run(session: Writer, change: Change) -> str | None:
    """Why a change failed, or None."""
    ran = await session.change(change.argv, change.stdin, seconds=change.seconds)
    if ran.code == 0:
        return None
    said = (ran.err.strip() or ran.out.strip()).splitlines()[-3:]
    told = _CREDENTIALS.sub("…", " / ".join(said))[:400]
    return f"could not {change.why}: {told or f'the command ended with {ran.code}'}"


async def _looked_at(session: Writer, want: Desired, changes: int) -> Done | Failed:
    facts = facts_of(tuple(module.name for module in want.system.modules))
    left = plan(understood(await ask(session, facts), facts), want).changes
    if left:
        return Failed(f"all was done, and yet this is left to do: {left[0].why}", changes)
    return Done(changes)
