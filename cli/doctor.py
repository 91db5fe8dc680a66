"""`llmops doctor`: what is wrong with this machine, and the fix for each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from infra import Check as CloudCheck
    from serving.local import Check

NAME = "doctor"


def command(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port of the endpoint.")
    ] = 8000,
    aws: Annotated[
        str | None,
        typer.Option(
            "--aws", help="Check what machines in this region of AWS need too.", metavar="REGION"
        ),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Check versions, ports, memory, disk and leftovers; print the fix for each. Exit 1 on a fail.

    Changes nothing.
    """
    from cli.output import print_data
    from cli.places import home
    from serving.local import diagnose

    checks: list[Check | CloudCheck] = [*diagnose(home(), port)]
    if aws:
        checks += _cloud(aws)
    if output is not Format.TEXT:
        print_data({"checks": [asdict(check) for check in checks]}, output)
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            typer.echo(f"{check.verdict:5} {check.name:{width}}  {check.found}")
            if check.fix:
                typer.echo(f"{'':6}{'':{width}}  fix: {check.fix}")
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(1)


def _cloud(region: str) -> tuple[CloudCheck, ...]:
    """What a cloud needs: `pulumi`, its backend and passphrase, credentials, the region."""
    from cli.places import home
    from infra import checks_in

    return checks_in(home(), region)
