"""The machines that stand, beside how new ones would be started: which of them are behind."""

from __future__ import annotations

from dataclasses import dataclass

from infra.account import Account, Group, Started
from infra.automation import Outputs
from llmops.errors import LlmopsError
from llmops.events import Flow, Warned
from llmops.planning import Plan
from llmops.spec import CloudTarget


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a stack."""

    group: Group | None = None
    """The pool; None where there is none yet, or it could not be looked at."""
    head: tuple[str, str] = ("", "")
    """Versions of the launch template: the one that has started the head, and the one that would
    now."""
    machine: str = ""
    """The type that is planned for the pool."""
    roll: bool = False
    """Whether machines of it are to be replaced."""

    @property
    def head_is_behind(self) -> bool:
        """Whether the head would be started otherwise now."""
        did, does = self.head
        return did != does

    @property
    def count(self) -> int:
        """Machines of the pool that are there."""
        return len(self.group.there) if self.group else 0

    def behind(self, *, renewed: bool) -> tuple[Started, ...]:
        """Machines of the pool that would be started otherwise; all, where their launch template is
        about to be another one."""
        if self.group is None:
            return ()
        return self.group.there if renewed else self.group.behind

    def replaced(self, *, renewed: bool) -> tuple[Started, ...]:
        """Those of them that a deploy replaces. What serves was planned for machines of their type,
        so that with another type none is."""
        found = self.behind(renewed=renewed) if self.roll else ()
        return tuple(one for one in found if one.machine == self.machine)


def standing(account: Account, outputs: Outputs, plan: Plan, target: CloudTarget) -> Flow[Standing]:
    """Look at what stands; nothing where there is no stack, or nobody can look."""
    pool, head = outputs.text("pool"), outputs.text("head")
    if not pool or plan.machines is None:
        return Standing()
    try:
        group, started = account.group(pool), account.starts(head)
    except LlmopsError as error:
        yield Warned(f"which machines are behind is not known: {error.message}")
        return Standing()
    machine = str(plan.machines.machine.value)
    return Standing(group, started, machine, target.roll == "auto")


__all__ = ["Standing", "standing"]
