"""The mark of a host that somebody works on: while it is there the host is given no work. Pure.

It lies on the host itself, so that whoever looks sees it, from wherever.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations.model import Change, Desired, Kept, Said, known, write

MARK = "/etc/llmops/maintenance"


def maintenance(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """The mark."""
    if want.maintenance is None:
        return
    there = maintained(facts)
    if not want.maintenance:
        if there is None:
            yield Kept("it is not marked for maintenance")
        else:
            yield Change("take the mark of maintenance away", ("rm", "-f", MARK))
    elif there is not None:
        yield Kept(f"it is marked for maintenance already: {there}")
    else:
        yield write(MARK, f"{want.maintenance}\n", "mark it for maintenance: it gets no more work")


def maintained(facts: HostFacts) -> str | None:
    """Why a host is in maintenance; None where it is not.

    Raises:
        UnknowableError: When that is not known.
    """
    text = known(facts.ours, "files of llmops").get(MARK)
    return None if text is None else text.strip() or "no reason was given"


__all__ = ["MARK", "maintained", "maintenance"]
