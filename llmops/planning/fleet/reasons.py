"""Why an offer is taken, rejected, or to be taken with care: in sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from llmops.catalog import Accelerator, Offer
from llmops.planning.fleet.budget import Budget, capability, own_batch
from llmops.planning.fleet.model import FleetOption
from llmops.planning.fleet.needs import Needs
from llmops.planning.fleet.network import slow_link, spanned
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject
from llmops.units import Bytes

LEAST_CAPABILITY = 75
"""vLLM 0.32's CUDA build runs from compute capability 7.5 on (its installation guide)."""

BFLOAT16_CAPABILITY = 80
"""From which a GPU has bfloat16 (vLLM's `check_if_supports_dtype`)."""


BFLOAT16_ONLY = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
"""Kinds that vLLM 0.32 refuses to run in float16 (`_FLOAT16_NOT_SUPPORTED_MODELS`)."""


def runs_as(subject: Subject, accelerator: Accelerator) -> str:
    """The format of what is not quantised on such a device: float16 where there is no bfloat16."""
    has = capability(accelerator)
    old = has is not None and has < BFLOAT16_CAPABILITY
    return "float16" if old and subject.dtype == "bfloat16" else subject.dtype


def cannot_run(subject: Subject, accelerator: Accelerator) -> str:
    """Why the engine cannot run the model on such a device; empty when it can."""
    has = capability(accelerator)
    if has is None:
        return ""
    if has < LEAST_CAPABILITY:
        return f"{accelerator.name} has compute capability {accelerator.capability}: too old"
    if runs_as(subject, accelerator) == "float16" != subject.dtype:
        kind = subject.profile.model_type
        if kind in BFLOAT16_ONLY:
            return f"{accelerator.name} has no bfloat16, and {kind} is unstable in float16"
    needed = subject.quantisation.needs if subject.quantisation else None
    if needed is not None and has < needed:
        return (
            f"{subject.quantisation.method if subject.quantisation else ''} weights need compute"
            f" capability {needed / 10:.1f}, and {accelerator.name} has {accelerator.capability}"
        )
    return ""


def no_layout(closest: Budget | None, accelerator: Accelerator, needs: Needs) -> str:
    """Why no layout on such machines holds it."""
    if closest is None:
        asked = f" with {needs.count} devices" if needs.count else ""
        return f"no legal layout{asked} on {accelerator.name}"
    size = Bytes(closest.memory).human()
    if closest.room <= 0:
        return (
            f"{Bytes(closest.weights).human()} of weights and"
            f" {Bytes(closest.fixed - closest.weights).human()} beside them on each device leave"
            f" nothing of {size} for the KV cache"
        )
    if closest.pool.least > closest.room:
        return (
            f"one request of {closest.context:,} tokens needs {Bytes(closest.pool.least).human()}"
            f" of KV cache on each device, and {Bytes(closest.room).human()} of {size} are left"
        )
    return (
        f"{Bytes(closest.room).human()} of KV cache on each device hold fewer than"
        f" {needs.in_flight:,} requests of {needs.typical:,} tokens"
    )


def other_batch(
    made: Budget, accelerator: Accelerator, needs: Needs, wanted: int
) -> tuple[str, ...]:
    """That the engine must be told of another batch than its own for such a device, or that the
    one it was told is too small for `wanted` requests at once in a data rank."""
    batch, own = made.batch, own_batch(accelerator, made.memory, needs)
    if batch.sequences < wanted:
        share = f"{batch.sequences:,} of {wanted:,}"
        return (f"{share} requests run at once (max_num_seqs), and the others wait",)
    if batch == own:
        return ()
    told = [f"max_num_batched_tokens {batch.tokens:,}"] if batch.tokens != own.tokens else []
    told += [f"max_num_seqs {batch.sequences:,}"] if batch.sequences != own.sequences else []
    if batch.tokens < own.tokens:
        why = (
            f"the engine's own {own.tokens:,} and {own.sequences:,} would leave the KV cache too"
            " little"
        )
    else:
        why = f"the engine runs {own.sequences:,} at once by itself, and the others wait"
    return (f"with {' and '.join(told)}: {why}",)


def clamped(made: Budget, needs: Needs) -> tuple[str, ...]:
    """That a typical request cannot be as long as was asked, or assumed."""
    if needs.typical <= made.context:
        return ()
    longest = f"{made.context:,}, the longest that there are"
    return (f"requests of {needs.typical:,} tokens are reckoned with {longest}",)


def notes(
    subject: Subject, offer: Offer, accelerator: Accelerator, parallel: Parallel, needs: Needs
) -> tuple[str, ...]:
    """What to know before this is taken."""
    found = list(subject.notes)
    if runs_as(subject, accelerator) != subject.dtype:
        found.append(f"runs as float16: {accelerator.name} has no bfloat16")
    found += filter(None, (slow_link(offer, accelerator, parallel.tensor),
                           spanned(offer, parallel)))  # fmt: skip
    if accelerator.vendor == "amd":
        found.append("needs vLLM's ROCm build, which llmops[gpu] is not")
    elif accelerator.vendor != "nvidia":
        found.append(f"needs a build of vLLM for {accelerator.vendor}, which llmops[gpu] is not")
    if accelerator.usable is None:
        found.append("planned with memory as sold: what its driver shows was not sourced")
    if needs.spot:
        found.append("a spot machine can be taken away at any time")
    return tuple(found)


def binding(option: FleetOption, needs: Needs) -> str:
    """What leaves least room: the constraint that would be met first."""
    made, typical = option.budget, min(needs.typical, option.budget.context)
    spare = made.room - made.pool.least
    full = made.pool.requests(made.room)
    if made.weights > made.memory // 2:
        return f"weights take {made.weights / made.memory:.0%} of each device"
    if made.pool.bytes_per_block and option.requests < 2 * needs.in_flight:
        return (
            f"KV cache: {option.requests} requests of {typical:,} tokens, {needs.in_flight} asked"
        )
    if made.pool.bytes_per_block and full < 2:
        return f"KV cache: {full} requests of {made.context:,} tokens"
    what = "nothing" if option.free else "price"
    return f"{what}: {Bytes(spare).human()} of each device are to spare"


def unpriced(offer: Offer, needs: Needs) -> str:
    """Why a machine without a price cannot be taken; empty when its price does not matter."""
    kind = "spot" if needs.spot else "on-demand"
    if offer.prices and needs.regions:
        return f"no {kind} price is known in the regions that are asked for"
    if offer.prices:
        return f"no {kind} price is known"
    if needs.budget is not None or needs.regions:
        return "its price is not in the catalogue, so that no budget or region can be kept"
    return ""


def why_first(options: Sequence[FleetOption], needs: Needs, *, dear: bool = False) -> str:
    """Why the first option is first.

    Args:
        options: The best first.
        needs: What is asked.
        dear: Whether something holds it at a price above the budget.
    """
    if not options:
        if dear and needs.budget is not None:
            return f"what holds it as asked costs more than {needs.budget:,.2f} USD/h"
        return "nothing that was weighed holds it as asked"
    first = options[0]
    if first.price is None:
        return "it fits, and nothing that fits has a sourced price"
    if first.accelerator.vendor != "nvidia":
        return "it fits, and nothing that llmops[gpu] runs on does"
    if first.free:
        return "it fits on machines of your own, which cost nothing by the hour"
    kind = "spot" if needs.spot else "on-demand"
    if len(options) == 1:
        return "the only type of machine on which it fits"
    return f"the lowest {kind} price of {len(options)} types of machines on which it fits"


def why_later(option: FleetOption, first: FleetOption) -> str:
    """Why an option is behind the first."""
    if option.accelerator.vendor != first.accelerator.vendor:
        return "needs another build of the engine"
    if option.price is None:
        return "its price is not in the catalogue"
    least_price = first.price or 0.0  # those without a price come last
    if least_price and option.price > least_price:
        times = f"{option.price / least_price:.2f}"
        if times == "1.00":
            return f"costs {option.price - least_price:.2g} USD/h more"
        return f"costs {times} times as much"
    if option.price > least_price:
        return "costs money, and your own machines do not"
    used, least = option.machines * option.offer.count, first.machines * first.offer.count
    if used > least:
        return f"as cheap, and takes {used} devices instead of {least}"
    if option.requests < first.requests:
        return f"as cheap, with room for {option.requests} requests instead of {first.requests}"
    return "as cheap and as roomy: the name decides"
