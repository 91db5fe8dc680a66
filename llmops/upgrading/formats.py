"""Whether the installed llmops reads what older ones have stored: by reading all of it.

No format of state has a number of its own but a backup's: records are read tolerantly, fields that
came later have defaults, and what cannot be read is told instead of guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from llmops.errors import LlmopsError
from llmops.releases import History
from llmops.targets import Observer
from llmops.upgrading.model import Readable


def readable(observer: Observer, names: Iterable[str]) -> Iterator[Readable]:
    """What is stored of some services, and of the target's policies."""
    for name in names:
        yield _tried(f"release records of {name}", partial(_releases, observer, name))
        yield _tried(f"keys of {name}", partial(_keys, observer, name))
    yield _tried("policies", partial(_policies, observer))


def histories(observer: Observer, names: Iterable[str]) -> Iterator[History]:
    """The histories that can be read; `readable` tells of the others."""
    for name in names:
        try:
            yield observer.store.read(name)[0]
        except LlmopsError:
            continue


def _tried(what: str, read: Callable[[], str]) -> Readable:
    try:
        return Readable(what, True, read())
    except LlmopsError as error:
        return Readable(what, False, error.message)


def _releases(observer: Observer, name: str) -> str:
    releases = observer.store.read(name)[0].releases
    older = sum(not release.plan.asked for release in releases)
    told = f"{len(releases)} releases"
    return f"{told}, {older} of them recorded by an older llmops" if older else told


def _keys(observer: Observer, name: str) -> str:
    return f"{len(observer.keys(name))} keys"


def _policies(observer: Observer) -> str:
    return f"{len(observer.policies.read()[0].current())} policies hold"
