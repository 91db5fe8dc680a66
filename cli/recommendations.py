"""How a recommendation is shown: options with their reasons, and what would change the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from llmops.units import Bytes

if TYPE_CHECKING:
    from llmops.planning import Figure
    from llmops.recommend import Option, Recommendation

SHOWN = 3
"""Options whose reasons are shown; the rest are named."""


def print_recommendation(found: Recommendation) -> None:
    """The options, what was assumed, what was passed over, and what would change the answer."""
    typer.echo(f"For {found.task}, taken for granted: {'; '.join(found.assumed)}.")
    if not found.options:
        typer.echo("\nNo model of the catalogue will do.")
    for number, option in enumerate(found.options[:SHOWN], start=1):
        _print_option(number, option)
    rest = [f"{one.name} ({one.way})" for one in found.options[SHOWN:]]
    if rest:
        typer.echo(f"\nThen: {', '.join(rest)}.")
    if found.changes:
        typer.echo("\nWhat would change the answer:")
    for change in found.changes:
        typer.echo(f"  {change.when}: {change.then}")
    if found.passed_over:
        typer.echo("\nPassed over:")
    for one in found.passed_over:
        typer.echo(f"  {one.name}: {one.reason}")


def _print_option(number: int, option: Option) -> None:
    model = option.model
    billions = f"{model.parameters / 10**9:.3g} billion parameters"
    typer.echo(f"\n{number}. {option.name}, {option.way}: {model.kind}, {billions}")
    typer.echo(f"   {model.source}: {option.served}")
    smaller = f", {_size(option.four_bits)} in 4 bits" if option.four_bits else ""
    price = f"; ${option.price.value:.2f} an hour" if option.price else ""
    typer.echo(f"   weights {_size(option.memory)}{smaller}{price}")
    for reason in option.reasons:
        sign = "-" if reason.points < 0 else "+" if reason.points else " "
        source = f" [{reason.source.partition('),')[0]})]" if reason.source else ""
        typer.echo(f"   {sign} {reason.text}{source}")


def _size(figure: Figure) -> str:
    return Bytes(int(figure.value)).human()
