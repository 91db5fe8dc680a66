"""`llmops logs`: what a release's engine has said, and who asked for what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Context, Namespace, Service

if TYPE_CHECKING:
    from cli.places import Target

NAME = "logs"


def command(
    name: Service,
    release: Annotated[
        int | None, typer.Option("--release", "-r", help="Release; default: the newest.")
    ] = None,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help="Only so many of the last lines.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more.")] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="The gateway's audit lines of the service instead.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="With --audit: look for lines that were edited, put in, moved or taken out;"
            " exit 3 when there is one.",
        ),
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Print the log of a release: its replica and its engine. Or its audit lines."""
    from cli.places import service_target
    from llmops.errors import InputError

    if verify and not audit:
        raise InputError("--verify is for audit lines", hint=f"llmops logs {name} --audit --verify")
    if audit and release is not None:
        raise InputError("--release is not for audit lines: each line names its release")
    target = service_target(name, context, namespace)
    if verify:
        _verify(target, name)
        return
    if lines is not None:
        for line in deque(_lines(target, name, release, audit, follow=False), maxlen=lines):
            typer.echo(line)
        if not follow:
            return
    for line in _lines(target, name, release, audit, follow=follow):
        typer.echo(line)


def _lines(
    target: Target, name: str, release: int | None, audit: bool, *, follow: bool
) -> Iterator[str]:
    if audit:
        return target.audit_lines(name, follow=follow)
    return target.logs(name, release, follow=follow)


def _verify(target: Target, name: str) -> None:
    """Say what was found of each chain; refuse when one is broken."""
    from cli.places import reached
    from llmops.errors import RefusedError

    broken = 0
    for kind, report in reached(target, "--verify").verify_audit(name).items():
        for fault in report.faults:
            typer.echo(str(fault))
        broken += len(report.faults)
        older = f", and {report.older} from before there was a chain" if report.older else ""
        lost = f", {report.lost} lost when nothing could be written" if report.lost else ""
        kept = f" ({report.first} to {report.last})" if report.last else ""
        typer.echo(f"{kind} callers: {report.verified} lines verified{kept}{lost}{older}")
    if broken:
        raise RefusedError(
            f"the audit log is not what the gateway wrote: {broken} faults",
            hint="compare with a copy; whoever can write these files has changed them",
        )
