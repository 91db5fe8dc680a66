"""Which view of a fleet plan is asked for: the plan, a figure's derivation, layouts, or two plans.

It chooses and prints; what is in a view comes from the planner.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from cli import fleet_text as text
from cli.fleet_tables import print_fitted, say
from cli.options import Format
from cli.output import print_data
from llmops.catalog import Offer, entry_called
from llmops.errors import InputError, RefusedError
from llmops.planning import fleet
from llmops.units import Bytes

if TYPE_CHECKING:
    from pathlib import Path

    from cli.fleet import Asked, Shown

REFUSED = 3
"""Exit code when nothing fits, or the engine does not serve the model."""


def show(asked: Asked, shown: Shown, other: Asked | None) -> None:
    """Answer, and print the view that is asked for; ends with 3 when nothing fits."""
    with asked.placed():
        fleet.check_asked(asked.subject, asked.needs)
    if shown.layouts is not None:
        _layouts(asked, shown.layouts, shown.output)
        return
    plan = fleet.search(asked.subject, asked.needs, asked.catalogue)
    if shown.plot is not None:
        write_plot(shown.plot, fleet.fleet_bars(plan, asked.subject), f"Memory of {asked.source}")
    if shown.explain is not None:
        _explain(asked, plan, shown)
    elif shown.compare is not None:
        _compare(asked, plan, shown, other)
    elif shown.output is Format.TEXT:
        _plan(asked, plan, shown)
    else:
        print_data(_document(asked, plan, shown), shown.output)
    if not plan.options or asked.subject.unserved:
        raise typer.Exit(REFUSED)


def _plan(asked: Asked, plan: fleet.FleetPlan, shown: Shown) -> None:
    text.print_question(plan, asked.subject, asked.source)
    if why := asked.subject.unserved:
        say(f"not served: {why}; what follows is its memory")
    typer.echo("")
    if plan.options:
        text.print_options(plan, shown.top)
        text.print_chosen(plan, asked.subject, datetime.now(UTC).date())
    else:
        text.print_nothing(plan, _changes(asked))
    if shown.rejected:
        text.print_rejected(plan.rejections)


def _changes(asked: Asked) -> tuple[fleet.Change, ...]:
    return fleet.changes(asked.subject, asked.needs, asked.catalogue, asked.facts)


def _document(asked: Asked, plan: fleet.FleetPlan, shown: Shown) -> dict[str, Any]:
    made = fleet.document(plan, asked.subject, source=asked.source, top=shown.top)
    if plan.options:
        return made
    changes = [{"change": one.what, "machine": one.option.offer.name, "price": one.option.price}
               for one in _changes(asked)]  # fmt: skip
    return made | {"changes": changes}


def _explain(asked: Asked, plan: fleet.FleetPlan, shown: Shown) -> None:
    if not plan.options:
        raise RefusedError(
            f"nothing to explain: {plan.why}",
            hint="the plan without --explain says what would help",
        )
    config = asked.facts.config
    tree = fleet.explain(plan, asked.subject, config, str(shown.explain))
    print_derivation(tree, shown.output)


def print_derivation(tree: fleet.Derivation, output: Format) -> None:
    """A figure's derivation, indented."""
    if output is not Format.TEXT:
        print_data(fleet.plain_derivation(tree), output)
        return
    for depth, line in fleet.derivation_lines(tree):
        say(line, 2 * depth)


def _layouts(asked: Asked, name: str, output: Format) -> None:
    offer = entry_called(asked.catalogue, name)
    if not isinstance(offer, Offer):
        having = [o.name for o in asked.catalogue.offers if o.accelerator == offer.name]
        raise InputError(
            f"expected a type of machine after --layouts, found the accelerator {offer.name}",
            hint=f"machines that have it: {', '.join(having[:8]) or 'none that is weighed'}",
        )
    accelerator = asked.catalogue.accelerators[offer.accelerator]
    found = fleet.every_layout(asked.subject, asked.needs, offer, accelerator)
    if output is not Format.TEXT:
        print_data([_layout(one) for one in found], output)
    else:
        _print_layouts(asked, offer, found)
    if asked.subject.unserved or not any(one.fits for one in found):
        raise typer.Exit(REFUSED)


def _print_layouts(asked: Asked, offer: Offer, found: tuple[fleet.Weighed, ...]) -> None:
    rows = [
        (
            str(one.parallel),
            "yes" if one.fits else "no",
            f"{one.requests:,}" if one.fits else "",
            Bytes(one.budget.weights).human() if one.budget else "",
            _layout_words(one),
        )
        for one in found
    ]
    machines = max(one.machines for one in found)
    several = f"{machines} x " if machines > 1 else ""
    say(f"{asked.source} on {several}{offer.name} ({several}{offer.count} x {offer.accelerator})")
    if why := asked.subject.unserved:
        say(f"not served: {why}; what follows is its memory")
    print_fitted(("LAYOUT", "FITS", "REQUESTS", "WEIGHTS", "WHY"), rows,
                 right=frozenset({"REQUESTS", "WEIGHTS"}))  # fmt: skip


def _layout_words(one: fleet.Weighed) -> str:
    if not one.fits or one.budget is None:
        return one.reason
    return "; ".join(filter(None, (f"context {one.budget.context:,}", one.told)))


def _layout(one: fleet.Weighed) -> dict[str, Any]:
    return {
        "layout": asdict(one.parallel) | {"devices": one.parallel.devices},
        "legal": one.legal,
        "fits": one.fits,
        "machines": one.machines,
        "requests": one.requests,
        "weights": one.budget.weights if one.budget else None,
        "context": one.budget.context if one.budget else None,
        "reason": one.reason,
        "told": one.told,
    }


def _compare(asked: Asked, plan: fleet.FleetPlan, shown: Shown, other: Asked | None) -> None:
    ours = fleet.of_fleet(plan, asked.subject, asked.source)
    if other is None:
        print_comparison(ours, live_figures(asked), "live", shown.output)
        return
    beside = fleet.search(other.subject, other.needs, other.catalogue)
    theirs = fleet.of_fleet(beside, other.subject, other.source)
    print_comparison(ours, theirs, str(shown.compare), shown.output)


def live_figures(asked: Asked) -> dict[str, fleet.Cell]:
    """The figures of the release that serves now.

    Raises:
        InputError: When there is none.
    """
    from cli.places import service_target

    name = asked.spec.deployment.name if asked.spec else ""
    live = service_target(name, None, None).store.read(name)[0].live
    if live is None:
        raise InputError(
            f"{name} has no live release to compare with", hint=f"llmops status {name}"
        )
    return fleet.of_local(live.plan)


def print_comparison(
    ours: dict[str, fleet.Cell], theirs: dict[str, fleet.Cell], beside: str, output: Format
) -> None:
    """Two plans, figure by figure; what is the same is left out of the text."""
    rows = fleet.compare(ours, theirs)
    if output is not Format.TEXT:
        print_data([asdict(row) for row in rows], output)
        return
    differing = [row for row in rows if row.change]
    if not differing:
        say(f"the same as the plan of {beside}, figure by figure")
        return
    heads = ("FIGURE", "THIS", beside.upper() if beside == "live" else beside, "DIFFERENCE")
    shown = [(r.name, _value(r, r.ours), _value(r, r.theirs), r.change) for r in differing]
    print_fitted(heads, shown)


def _value(row: fleet.Row, value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if row.unit == "B":
        return Bytes(int(value)).human()
    return f"{value:,.2f}" if row.unit == "USD/h" else f"{value:,}"


def write_plot(path: Path, bars: tuple[fleet.Bar, ...], title: str) -> None:
    """Draw the bars into a file; without any nothing is written.

    Raises:
        InputError: When it cannot be written.
    """
    from cli.output import tell

    if not bars:
        tell(f"nothing to draw into {path}")
        return
    try:
        path.write_text(fleet.svg(bars, title), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", hint="name another file after --plot"
        ) from error
    tell(f"drawn into {path}")
