"""Facts gathered from hosts: what each was asked, what it answered, and what that means.

Only looks. An answer is kept as it came (`--record`), so that it can be read again later and
elsewhere. What a host does not say stays Unknown; a host that does not answer stays in the table.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bare_metal.hosts.connection import (
    MOST_AT_ONCE,
    Files,
    LookingConnector,
    Ran,
    Reader,
    Unreachable,
    over,
    record,
)
from bare_metal.hosts.facts.asking import SECONDS, CommandFact, Fact, FileFact, UnknownError
from bare_metal.hosts.facts.model import Unknown
from bare_metal.hosts.facts.table import NAMES, NOT_ASKED, HostFacts, facts_of
from bare_metal.inventory import Placed

HOST_SECONDS = 300.0
"""How long a host may take to answer everything."""
AT_ONCE = 6
"""Questions to one host at once; sshd takes ten sessions on a connection (MaxSessions)."""

Readings = Mapping[str, HostFacts | Unreachable]
"""What is known of each host, by name."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a host answered, as it came."""

    files: Mapping[str, Files]
    commands: Mapping[str, Ran]


async def ask(reader: Reader, facts: Sequence[Fact]) -> Answers:
    """Ask one host for facts.

    Raises:
        HostGoneError: When it went away.
    """
    room = asyncio.Semaphore(AT_ONCE)
    commands: dict[str, Ran] = {}

    async def one(fact: CommandFact) -> None:
        async with room:
            commands[fact.name] = await reader.run(fact.argv, seconds=fact.seconds)

    of_files = [fact for fact in facts if isinstance(fact, FileFact)]
    of_commands = [fact for fact in facts if isinstance(fact, CommandFact)]
    asked = asyncio.gather(*(one(fact) for fact in of_commands))
    files, _ = await asyncio.gather(_files(reader, of_files), asked)
    return Answers(files, commands)


async def _files(reader: Reader, facts: Sequence[FileFact]) -> dict[str, Files]:
    """All files in one command; fact by fact where that failed, since one file may hang."""
    patterns = tuple(dict.fromkeys(pattern for fact in facts for pattern in fact.patterns))
    found = await reader.read(patterns, seconds=SECONDS)
    if not found.failed:
        return {fact.name: _of(found, fact.patterns) for fact in facts}
    return {fact.name: await reader.read(fact.patterns, seconds=fact.seconds) for fact in facts}


def _of(found: Files, patterns: tuple[str, ...]) -> Files:
    """Those of some files that patterns stand for."""
    form = re.compile("|".join(re.escape(p).replace(r"\*", "[^/]*") for p in patterns))
    texts = {path: text for path, text in found.texts.items() if form.fullmatch(path)}
    return Files(texts, tuple(path for path in found.unread if form.fullmatch(path)))


def understood(answers: Answers, facts: Sequence[Fact]) -> HostFacts:
    """What the answers mean; what was not among the questions is unknown. Pure."""
    unasked: dict[str, Any] = dict.fromkeys(NAMES, Unknown("it was not asked"))
    unasked |= {"dcgm": NOT_ASKED, "nccl": NOT_ASKED}
    return HostFacts(**unasked | {fact.name: _understood(answers, fact) for fact in facts})


def _understood(answers: Answers, fact: Fact) -> Any:
    try:
        if isinstance(fact, CommandFact):
            return fact.parse(answers.commands[fact.name])
        return fact.parse(answers.files[fact.name])
    except UnknownError as error:
        return Unknown(str(error))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        # A parser that trips over an answer nobody has seen yet must not take the host's other
        # facts with it.
        return Unknown(f"the answer is of an unknown form ({type(error).__name__})")


def gather(
    hosts: Sequence[Placed],
    by: LookingConnector,
    *,
    modules: tuple[str, ...] = (),
    load: bool = False,
    only: Collection[str] = NAMES,
    most: int = MOST_AT_ONCE,
    keep: Path | None = None,
) -> dict[str, HostFacts | Unreachable]:
    """Ask hosts for facts.

    Args:
        hosts: The hosts.
        by: The way to them.
        modules: Kernel modules whose parameters are read.
        load: Whether what loads the GPUs for minutes is asked too.
        only: Names of the facts that are asked for; all where left out.
        most: Hosts at once.
        keep: A folder to keep all answers in; None keeps none.

    Returns:
        An entry for each host.

    Raises:
        InputError: When answers cannot be kept.
    """
    facts = [fact for fact in facts_of(modules, load=load) if fact.name in only]
    seconds = HOST_SECONDS + (sum(fact.seconds for fact in facts) if load else 0.0)

    async def one(host: Placed) -> HostFacts:
        async with by.reading(host) as reader:
            answers = await ask(reader, facts)
        if keep is not None:
            _keep(keep / host.name, answers, facts)
        return understood(answers, facts)

    return asyncio.run(over(hosts, one, seconds=seconds, most=most))


def _keep(folder: Path, answers: Answers, facts: Sequence[Fact]) -> None:
    texts = {path: text for files in answers.files.values() for path, text in files.texts.items()}
    commands = {
        fact.argv: answers.commands[fact.name] for fact in facts if isinstance(fact, CommandFact)
    }
    record(folder, texts, commands)


def data(found: HostFacts | Unreachable) -> dict[str, Any]:
    """Facts as plain data: stable keys, for scripts; what is unknown says why."""
    if isinstance(found, Unreachable):
        return {"unreachable": found.reason, "hint": found.hint}
    return {
        name: {"unknown": value["reason"]} if _is_unknown(getattr(found, name)) else value
        for name, value in json.loads(json.dumps(asdict(found))).items()
    }


def _is_unknown(value: object) -> bool:
    return isinstance(value, Unknown)
