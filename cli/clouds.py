"""`llmops cluster sweep` and `cost`: what llmops has running in a cloud account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Format, Output, Yes

if TYPE_CHECKING:
    from infra import Cost, Found, Leftover

Region = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        help="Region of AWS to look at; may be given again. Default: those that services were"
        " deployed to from here, or AWS_REGION.",
        metavar="REGION",
    ),
]


def sweep(
    region: Region = None,
    stack: Annotated[
        str | None,
        typer.Option("--stack", help="Only what is tagged with this stack.", metavar="NAME"),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what was found, after asking.")
    ] = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """List machines, disks and networks that carry our tags but belong to no stack, with cost.

    With --remove they are removed after a question. A stack that somebody keeps in another backend
    looks from here like one that is gone: so without a question it takes --stack. What holds data
    is never removed.
    """
    from cli.output import may_ask, print_data
    from cli.places import home
    from infra import find

    if remove:
        may_ask(yes)
        _named(yes, stack)
    found = [find(home(), one, stack) for one in _regions(region)]
    if output is Format.TEXT:
        _print_found(found)
    else:
        print_data({"leftovers": [row for one in found for row in _documents(one)]}, output)
    if remove and any(one.leftovers for one in found):
        _remove(found, yes)


def _named(yes: bool, stack: str | None) -> None:
    from llmops.errors import InputError

    if yes and stack is None:
        raise InputError(
            "--remove --yes needs --stack: a stack in another backend looks like one that is gone",
            hint="llmops cluster sweep lists what there is, and the stack of each",
        )


def _remove(found: list[Found], yes: bool) -> None:
    from cli.output import ask, tell
    from infra import take_away
    from llmops.errors import RefusedError

    count = sum(len(one.leftovers) for one in found)
    if not yes and not ask(f"Remove these {count} things for good?"):
        raise RefusedError("nothing was changed")
    stayed = 0
    for one in found:
        for thing, why in take_away(one):
            tell(
                f"stays: {thing.kind} {thing.id}: {why}"
                if why
                else f"gone: {thing.kind} {thing.id}"
            )
            stayed += bool(why)
    if stayed:
        raise typer.Exit(1)


def _print_found(found: list[Found]) -> None:
    from cli.output import print_table, tell

    rows = [_row(one.region, left) for one in found for left in one.leftovers]
    if rows:
        print_table(("REGION", "KIND", "ID", "STACK", "USD/H", "WHY"), rows)
    for one in found:
        for stack in one.unsettled:
            tell(f"left alone: stack {stack}, whose update has not ended; deploy it again first")
        if not one.leftovers:
            tell(f"{one.region}: nothing is left over (stacks of {one.backend})")


def _row(region: str, left: Leftover) -> tuple[str, ...]:
    thing, price = left.priced.thing, left.priced.usd_per_hour
    cost = f"{price:,.2f}" if price is not None else "unknown" if thing.machine else "-"
    return region, thing.kind, thing.id, left.stack, cost, left.why


def _documents(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "region": found.region,
            "kind": left.priced.thing.kind,
            "id": left.priced.thing.id,
            "arn": left.priced.thing.arn,
            "stack": left.stack,
            "usd_per_hour": left.priced.usd_per_hour,
            "why": left.why,
        }
        for left in found.leftovers
    ]


def cost(region: Region = None, output: Output = Format.TEXT) -> None:
    """Add up what running machines cost, by release, at the catalogue's prices.

    Disks, load balancers and traffic are not in it. Changes nothing.
    """
    from cli.output import print_data
    from cli.places import home
    from infra import costs_in

    found = [(one, cost) for one in _regions(region) for cost in costs_in(home(), one)]
    if output is Format.TEXT:
        _print_costs(found)
        return
    print_data({"costs": [_cost_document(*one) for one in found]}, output)


def _print_costs(found: list[tuple[str, Cost]]) -> None:
    from cli.output import print_table, tell

    rows = [
        (region, one.stack, one.service, one.release, _machines(one), f"{one.usd_per_hour:,.2f}",
         f"{one.usd_per_month:,.0f}")
        for region, one in found
    ]  # fmt: skip
    total = sum(one.usd_per_hour for _, one in found)
    print_table(("REGION", "STACK", "SERVICE", "PLAN", "MACHINES", "USD/H", "USD/MONTH"), rows)
    tell(f"together: {total:,.2f} USD an hour")
    for name in sorted({name for _, one in found for name in one.unpriced}):
        tell(f"not in the sum: {name}, whose price the catalogue does not have")


def _machines(one: Cost) -> str:
    return ", ".join(f"{count} x {name}" for name, count in one.machines.items())


def _cost_document(region: str, one: Cost) -> dict[str, Any]:
    return {
        "region": region,
        "stack": one.stack,
        "service": one.service,
        "plan": one.release,
        "machines": dict(one.machines),
        "usd_per_hour": one.usd_per_hour,
        "usd_per_month": one.usd_per_month,
        "unpriced": list(one.unpriced),
    }


def _regions(said: list[str] | None) -> list[str]:
    """Where to look.

    Raises:
        InputError: When nothing says it.
    """
    import os

    from cli.places import remembered
    from llmops.errors import InputError

    known = {place.region for place in remembered().values() if place.region}
    usual = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = said or sorted(known) or ([usual] if usual else [])
    if not found:
        raise InputError("which region to look at is not said", hint="--region us-east-1")
    return found
