"""A layout that a model does not allow, refused with the legal ones that come nearest. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.planning.fleet.needs import Needs
from llmops.planning.parallel import Cuts, Parallel
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject

MOST = 3
"""Layouts that a hint names."""

SIZES = 256
"""Devices up to which neighbours are sought, at the least."""


def check_asked(subject: Subject, needs: Needs) -> None:
    """Refuse what the model itself forbids, on whatever machines.

    Raises:
        Refusal: When the layout that is asked for is illegal, the context is longer than the model
            was trained for, or experts are asked for and there are none.
    """
    trained = subject.profile.max_positions
    if needs.context is not None and needs.context > trained:
        raise Refusal(
            f"a context of {needs.context:,} is asked for, and the model was trained for"
            f" {trained:,}",
            path="model.context",
            hint=f"ask for at most {trained}, or use a model that was trained for more",
        )
    asked, cuts = needs.parallel, subject.cuts
    if asked is None:
        if needs.experts and not cuts.experts:
            raise Refusal(
                f"{subject.profile.name} has no experts to deal",
                path="engine.args.enable_expert_parallel",
                hint="leave --experts (enable_expert_parallel) out",
            )
        return
    if needs.count not in (None, asked.devices):
        raise Refusal(
            f"the layout {asked} takes {asked.devices} devices, and {needs.count} are asked for",
            path="hardware.count",
            hint=f"ask for {asked.devices} devices, or leave the number out",
        )
    why = cuts.why_not(asked)
    if not why:
        return
    near = "; or ".join(str(one) for one in nearest(cuts, asked))
    raise Refusal(
        f"the layout {asked} is not legal: {why}",
        path=_field(cuts, asked),
        hint=f"the nearest that are: {near}",
    )


def nearest(cuts: Cuts, asked: Parallel, most: int = MOST) -> tuple[Parallel, ...]:
    """The legal layouts that need least change, those with as many devices first."""
    legal = sorted(_around(cuts, asked), key=lambda one: _distance(one, asked))
    return tuple(legal[:most])


def _around(cuts: Cuts, asked: Parallel) -> Iterator[Parallel]:
    """Legal layouts up to twice the size, each size that is asked for or smaller, or a little
    larger."""
    tensors = [t for t in _sizes(asked.tensor) if not cuts.why_not(Parallel(t))]
    for tensor in tensors:
        for pipeline in _sizes(asked.pipeline):
            for data in _sizes(asked.data) if cuts.experts else (1,):
                for expert in {asked.expert, False, bool(cuts.experts)}:
                    one = Parallel(tensor, pipeline, data, expert)
                    if not cuts.why_not(one):
                        yield one


def _sizes(asked: int) -> tuple[int, ...]:
    """Sizes around one: all when it is small, powers of two and near ones when it is not."""
    if asked <= 16:
        return tuple(range(1, 2 * asked + 1))
    powers = {1 << power for power in range(11)}
    return tuple(sorted(powers | set(range(asked - 4, asked + 5))))


def _distance(one: Parallel, asked: Parallel) -> tuple[float, ...]:
    sizes = ((one.tensor, asked.tensor), (one.pipeline, asked.pipeline), (one.data, asked.data))
    changed = sum(ours != theirs for ours, theirs in sizes) + (one.expert != asked.expert)
    apart = sum(max(a, b) / min(a, b) - 1 for a, b in sizes)
    return (abs(one.devices - asked.devices), changed, apart, one.pipeline, one.data, one.tensor)


def _field(cuts: Cuts, asked: Parallel) -> str:
    """The field of a spec that is to blame."""
    if cuts.why_not(Parallel(asked.tensor)):
        return "parallelism.tensor"
    if cuts.why_not(Parallel(asked.tensor, asked.pipeline)):
        return "parallelism.pipeline"
    return "parallelism.data"
