"""How a fleet plan is shown to people: the question, the options, the memory, what to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import typer

from cli.fleet_tables import print_fitted, say
from llmops.planning import fleet
from llmops.units import Bytes

HEADS = ("MACHINE", "GPUS", "LAYOUT", "CONTEXT", "ROOM", "USD/H", "REGION", "WHY")
REASONS = 3
"""Reasons that are told when nothing fits."""

NUMBERS = frozenset({"CONTEXT", "ROOM", "USD/H"})


def print_question(plan: fleet.FleetPlan, subject: fleet.Subject, source: str) -> None:
    """The model and what is asked of it."""
    profile, needs = subject.profile, plan.needs
    sparse = profile.active < profile.parameters
    active = f" ({count(profile.active)} for a token)" if sparse else ""
    token = int(fleet.kv_per_token(subject, needs.kv_dtype).value)
    each = f"{Bytes(token).human()} of KV cache" if token else "no KV cache"
    typical = min(needs.typical, needs.context or profile.max_positions)
    form = subject.quantisation.method if subject.quantisation else subject.dtype
    context = f"context {needs.context:,}" if needs.context else "context as trained or what fits"
    say(
        f"{source}: {profile.name}, {count(profile.parameters)} parameters{active},"
        f" {Bytes(subject.weight_bytes).human()} of weights as {form}, {each} per"
        f" token; {context} (trained for {profile.max_positions:,}),"
        f" {needs.in_flight:,} requests of"
        f" {typical:,} tokens at once, {needs.replicas} replica"
        f"{'s' if needs.replicas > 1 else ''}"
    )
    for note in subject.notes:
        say(f"note: {note}")


def print_options(plan: fleet.FleetPlan, top: int) -> None:
    """The best options, with the reason of each place in the list."""
    shown = plan.options[:top]
    print_fitted(HEADS, [_row(option, plan) for option in shown], right=NUMBERS)
    more = len(plan.options) - len(shown)
    if more:
        say(f"and {more} more types of machines on which it fits (--top {len(plan.options)})")


def _row(option: fleet.FleetOption, plan: fleet.FleetPlan) -> tuple[str, ...]:
    first = plan.options[0]
    made, typical = option.budget, min(plan.needs.typical, option.budget.context)
    return (
        option.offer.name,
        devices(option),
        str(option.parallel),
        f"{made.context:,}",
        f"{option.requests:,} x {typical:,}",
        money(option),
        option.region,
        plan.why if option is first else fleet.why_later(option, first),
    )


def print_chosen(plan: fleet.FleetPlan, subject: fleet.Subject, today: date) -> None:
    """The first option in full."""
    option = plan.options[0]
    made = option.budget
    shown = "its driver shows" if option.accelerator.usable is not None else "as sold"
    typer.echo("")
    say(f"{option.offer.name}: memory of each {option.accelerator.name} ({shown})")
    lines = fleet.memory_lines(subject, option, plan.needs)
    rows = [(line.label, Bytes(max(0, line.bytes)).human(), line.reason) for line in lines]
    rows.append(("all of it", Bytes(made.memory).human(), ""))
    print_fitted(("  MEMORY", "SIZE", "REASON"), [(f"  {a}", b, c) for a, b, c in rows],
                 right=frozenset({"SIZE"}))  # fmt: skip
    typer.echo("")
    say(f"binding: {fleet.binding(option, plan.needs)}")
    for line in fleet.placement_words(option):
        say(f"placement: {line}")
    for note in (*option.notes, *_context(option, subject, plan), *_prices(plan, option, today)):
        say(f"note: {note}")
    _print_idle(option)


def _print_idle(option: fleet.FleetOption) -> None:
    more, further = fleet.spare_replicas(option), fleet.spare_machines(option)
    count = option.machines * option.offer.count
    parts = [f"{option.idle} of {count} devices"] if option.idle else []
    parts += [f"{further} whole machine{'s' if further > 1 else ''}"] if further else []
    if not parts:
        return
    extra = f"; {more} more replica{'s' if more > 1 else ''} would fit at no extra price"
    say(f"idle: {' and '.join(parts)}{extra if more else ''}")


def print_nothing(plan: fleet.FleetPlan, changes: Sequence[fleet.Change]) -> None:
    """Why nothing fits, what is nearest, and what would change it."""
    say(f"nothing fits: {plan.why}")
    miss = fleet.nearest_miss(plan)
    if miss is not None:
        say(f"nearest: {miss.offer.name} ({miss.offer.count} x {miss.offer.accelerator}):"
            f" {miss.reason}")  # fmt: skip
    else:
        for reason, names in list(_by_reason(plan.rejections).items())[:REASONS]:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            say(f"{names[0]}{more}: {reason}")
    if not changes:
        say("no single change that was tried makes it fit")
        return
    typer.echo("")
    rows = [
        (one.option.offer.name, devices(one.option), str(one.option.parallel), money(one.option),
         one.what)
        for one in changes
    ]  # fmt: skip
    print_fitted(("WOULD FIT", "GPUS", "LAYOUT", "USD/H", "WITH"), rows, right=NUMBERS)


def print_rejected(rejections: Iterable[fleet.Rejection]) -> None:
    """Machines on which it is not to be had: those of one reason together, the most first."""
    grouped = _by_reason(rejections)
    typer.echo("")
    say(f"rejected: {sum(map(len, grouped.values()))} types of machines")
    for reason, names in grouped.items():
        say(f"{reason}:", 2)
        say(", ".join(names), 4, 0)


def _by_reason(rejections: Iterable[fleet.Rejection]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for one in rejections:
        grouped.setdefault(one.reason, []).append(one.offer.name)
    return dict(sorted(grouped.items(), key=lambda entry: -len(entry[1])))


def _context(option: fleet.FleetOption, subject: fleet.Subject, plan: fleet.FleetPlan) -> list[str]:
    trained = subject.profile.max_positions
    if plan.needs.context is not None or option.budget.context == trained:
        return []
    context = f"{option.budget.context:,}"
    return [f"the context is {context} instead of {trained:,}: the KV cache holds no longer one"]


def _prices(plan: fleet.FleetPlan, option: fleet.FleetOption, today: date) -> list[str]:
    found = fleet.prices(plan, today).get(option.offer.provider)
    if found is None:
        return []
    day, stale = found
    old = f", {(today - day).days} days old: look it up anew before you decide" if stale else ""
    return [f"prices of {option.offer.provider} are a snapshot of {day}{old}"]


def devices(option: fleet.FleetOption) -> str:
    """`2 x 8 x H100-SXM`: machines, devices in each, their name."""
    each = f"{option.offer.count} x {option.accelerator.name}"
    return f"{option.machines} x {each}" if option.machines > 1 else each


def money(option: fleet.FleetOption) -> str:
    """The price of an hour, or that there is none."""
    if option.price is None:
        return "?"
    return "own" if option.free else f"{option.price:,.2f}"


def count(number: int) -> str:
    """A number of parameters, as people say it: `70.6B`, `135M`."""
    for size, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)
