"""The machines that stand, beside those that are planned: how many, and which are behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from infra.account import Account, Group, Started
from infra.automation import Outputs
from infra.handing import count_of
from infra.keeping import Keep
from infra.rolling import Machine, last_wanted
from llmops.errors import LlmopsError
from llmops.events import Flow, Warned
from llmops.planning import Plan
from llmops.spec import CloudTarget
from serving.agent import Node


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
    planned: int = 0
    """How many are planned."""
    declared: int = 0
    """How many the stack was last made for; 0 where it does not say."""
    close: bool = False
    """Whether it has them stand close together."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """What machines say of themselves, by their address."""
    spans: bool = False
    """Whether a replica stands on several machines: none of them can be emptied by itself."""

    @property
    def head_is_behind(self) -> bool:
        """Whether the head would be started otherwise now."""
        did, does = self.head
        return did != does

    @property
    def count(self) -> int:
        """Machines of the pool that are there."""
        return len(self.group.there) if self.group else 0

    @property
    def keep(self) -> Keep:
        """What is there while a release is made: no machine ends before the one that needs fewer
        serves. Where nobody could look, it is what the stack says."""
        return Keep(self.count if self.group else self.declared, self.close)

    @property
    def apart(self) -> bool:
        """Whether the group keeps another number than the stack's record says, such as after a run
        that was killed between the two."""
        return self.group is not None and self.declared not in (0, self.group.desired)

    @property
    def surplus(self) -> tuple[Started, ...]:
        """Those that a deploy ends when its release serves, in the order in which they go as far as
        it can be told beforehand. What serves was planned for machines of their type, so that with
        another type none is."""
        there = self.group.there if self.group else ()
        if self.spans or any(one.machine != self.machine for one in there):
            return ()
        ordered = sorted(there, key=lambda one: last_wanted(self._seen(one)))
        return tuple(ordered[: max(0, len(there) - self.planned)])

    def _seen(self, one: Started) -> Machine:
        behind = self.group is not None and one in self.group.behind
        node = self.nodes.get(one.address)
        if node is None or node.renewed_at < one.since:
            return Machine(one.id, behind)
        return Machine(one.id, behind, worker=node.name, replicas=node.replicas)

    def behind(self, *, renewed: bool) -> tuple[Started, ...]:
        """Machines of the pool that stay and would be started otherwise; all, where their launch
        template is about to be another one."""
        if self.group is None:
            return ()
        ends = self.surplus
        found = self.group.there if renewed else self.group.behind
        return tuple(one for one in found if one not in ends)

    def replaced(self, *, renewed: bool) -> tuple[Started, ...]:
        """Those of them that a deploy replaces. What serves was planned for machines of their type,
        so that with another type none is."""
        found = self.behind(renewed=renewed) if self.roll and not self.spans else ()
        return tuple(one for one in found if one.machine == self.machine)


def standing(
    account: Account,
    outputs: Outputs,
    plan: Plan,
    target: CloudTarget,
    recorded: Callable[[], Iterable[Node]],
) -> Flow[Standing]:
    """Look at what stands; of the machines nothing where there is no stack, or nobody can look.

    Args:
        account: Reads the region.
        outputs: What the stack says of itself.
        plan: What is planned.
        target: What was asked for.
        recorded: Gives what the machines say of themselves.
    """
    pool, head = outputs.text("pool"), outputs.text("head")
    planned, declared = count_of(plan), declared_in(outputs)
    close = bool(outputs.text("placement"))
    unknown = Standing(planned=planned, declared=declared, close=close)
    if not pool or plan.machines is None:
        return unknown
    try:
        group, started = account.group(pool), account.starts(head)
        nodes = by_address(recorded())
    except LlmopsError as error:
        yield Warned(f"which machines are there, or behind, is not known: {error.message}")
        return unknown
    return Standing(
        group, started, str(plan.machines.machine.value), target.roll == "auto", planned, declared,
        close, nodes, plan.layout.pipeline > 1,
    )  # fmt: skip


def declared_in(outputs: Outputs) -> int:
    """Machines with GPUs that a stack was last made for; 0 where it does not say."""
    value = outputs.values.get("machines")
    return int(value) if isinstance(value, (int, float)) else 0


def by_address(nodes: Iterable[Node]) -> dict[str, Node]:
    """Records by address; of two with the same one, the one that was written last."""
    return {node.address: node for node in sorted(nodes, key=lambda node: node.renewed_at)}


__all__ = ["Standing", "by_address", "declared_in", "standing"]
