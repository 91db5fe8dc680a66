"""`llmops catalog`: what is known of accelerators, machines and prices, and from where."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from llmops.catalog import Catalogue

group = typer.Typer(
    help="Accelerators, offers and prices, each figure with its source.", no_args_is_help=True
)

CONTRADICTED = 3
"""Exit code when something in the catalogue cannot be trusted."""


class Kind(StrEnum):
    """What is listed."""

    ACCELERATORS = "accelerators"
    OFFERS = "offers"


Own = Annotated[
    list[Path] | None,
    typer.Option(
        "--catalog",
        help="A file of your own, laid over what is shipped; given again, a later one over the"
        " earlier. Default: catalog.yaml in LLMOPS_HOME, if it is there.",
        metavar="FILE",
    ),
]


@group.command("list")
def list_(
    kind: Annotated[
        Kind | None, typer.Option("--kind", help="List only these.", show_default=False)
    ] = None,
    gpu: Annotated[
        str, typer.Option("--gpu", help="Only this accelerator, or this family (H100).")
    ] = "",
    provider: Annotated[str, typer.Option("--provider", help="Only this provider's offers.")] = "",
    region: Annotated[
        str, typer.Option("--region", help="Only offers with a price there, and that price.")
    ] = "",
    catalog: Own = None,
    output: Output = Format.TEXT,
) -> None:
    """List accelerators and offers; with --provider or --region, offers."""
    from cli import catalogs
    from cli.output import print_data
    from llmops.catalog import accelerators_called, offers_of

    known = open_catalogue(catalog)
    both = kind is None and not provider and not region
    accelerators = accelerators_called(known, gpu) if gpu else tuple(known.accelerators.values())
    offers = offers_of(known, gpu=gpu, provider=provider, region=region)
    if provider or region:
        offered = {offer.accelerator for offer in offers}
        accelerators = tuple(one for one in accelerators if one.name in offered)
    accelerators = accelerators if both or kind is Kind.ACCELERATORS else ()
    offers = offers if kind is not Kind.ACCELERATORS else ()
    if output is not Format.TEXT:
        print_data(catalogs.listing(accelerators, offers, region), output)
        return
    catalogs.print_listing(accelerators, offers, region)


@group.command("show")
def show(
    name: Annotated[str, typer.Argument(help="An accelerator, or an offer: aws/p5.48xlarge.")],
    catalog: Own = None,
    output: Output = Format.TEXT,
) -> None:
    """Show every figure of an entry, with its unit, source and date."""
    from cli import catalogs
    from cli.output import print_data
    from llmops.catalog import entry_called

    entry = entry_called(open_catalogue(catalog), name)
    if output is not Format.TEXT:
        print_data(catalogs.document(entry), output)
        return
    catalogs.print_entry(entry)


@group.command("check")
def check(catalog: Own = None, output: Output = Format.TEXT) -> None:
    """Name what is stale, contradictory, missing or without a source."""
    from cli import catalogs
    from cli.output import print_data
    from llmops.catalog import Severity
    from llmops.catalog import check as find

    findings = find(open_catalogue(catalog), datetime.now(UTC).date())
    if output is Format.TEXT:
        catalogs.print_findings(findings)
    else:
        print_data(catalogs.findings(findings), output)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(CONTRADICTED)


def open_catalogue(own: list[Path] | None) -> Catalogue:
    """What is shipped, and the user's own files over it."""
    from cli.places import home
    from llmops.catalog import load_catalogue

    usual = home() / "catalog.yaml"
    return load_catalogue(own or ([usual] if usual.exists() else []))
