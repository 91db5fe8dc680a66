"""`llmops status`: what serves, how it does, and when it last answered for real."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Context, Format, Namespace, Output
from cli.places import service_names

if TYPE_CHECKING:
    from llmops.releases import Summary
    from llmops.targets import ReleaseStatus, ServiceStatus

NAME = "status"


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of the service; without one, all are listed.",
            metavar="[NAME]",
            autocompletion=service_names,
        ),
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """Show releases, shares of traffic, replicas, memory, rates, and the last real answer."""
    from cli.output import print_data
    from cli.places import service_target

    if name is not None:
        found = service_target(name, context, namespace).status(name)
        if output is Format.TEXT:
            _print_one(found)
        else:
            print_data(asdict(found), output)
        return
    services, silent = _everywhere(context, namespace)
    for why in silent:
        typer.echo(f"error: {why}", err=True)
    if output is not Format.TEXT:
        print_data({"services": [asdict(service) for service in services]}, output)
    else:
        _print_all(services)


def _everywhere(
    context: str | None, namespace: str | None
) -> tuple[list[ServiceStatus], list[str]]:
    """Every service that is known from here, and why some could not be asked."""
    from cli.places import HERE, open_target, remembered, service_place
    from llmops.errors import LlmopsError

    place = service_place("", context, namespace)
    places = [place] if place != HERE else list(dict.fromkeys([HERE, *remembered().values()]))
    services, silent = [], []
    for where in places:
        try:
            target = open_target(where)
            services += [target.status(service) for service in target.store.services()]
        except LlmopsError as error:
            if len(places) == 1:
                raise
            silent.append(error.message)
    return services, silent


def _print_all(services: list[ServiceStatus]) -> None:
    from cli.output import ago, print_table

    shown = [service for service in services if service.releases]
    if not shown:
        typer.echo("nothing is deployed here; llmops init NAME begins")
        return
    rows = [
        (
            service.name,
            _health(service),
            next((str(r.number) for r in service.releases if r.share == 100), "-"),
            ago(service.last_generation_at),
            service.url,
        )
        for service in shown
    ]
    print_table(("NAME", "HEALTH", "RELEASE", "LAST ANSWER", "ENDPOINT"), rows)


def _health(service: ServiceStatus) -> str:
    if not any(release.phase == "ready" and release.share for release in service.releases):
        return "down"
    serving = [release for release in service.releases if release.share]
    if service.healthy and not any(release.replicas for release in serving):
        return "asleep"
    return "healthy" if service.healthy else "quiet"


def _metrics(service: ServiceStatus) -> str:
    if service.metrics_url:
        return service.metrics_url
    pods = service.target == "kubernetes" and bool(service.releases)
    return "port 9090 of its gateway pods" if pods else "none: nothing runs"


def _print_one(service: ServiceStatus) -> None:
    from cli.output import ago, print_table
    from llmops.units import Bytes

    typer.echo(f"{service.name} on {service.target}: {_health(service)}")
    typer.echo(f"  endpoint     {service.url} (model '{service.model}')")
    typer.echo(f"  metrics      {_metrics(service)}")
    typer.echo(f"  last answer  {ago(service.last_generation_at)}")
    typer.echo(
        f"  rates        {service.requests_per_minute:.0f} requests/min,"
        f" {service.tokens_per_second:.1f} tokens/s"
    )
    if service.quarantined:
        count = "1 request" if service.quarantined == 1 else f"{service.quarantined} requests"
        typer.echo(f"  quarantine   {count} refused that ended the engine twice")
    for note in service.notes:
        typer.echo(f"  note         {note}")
    if not service.releases:
        typer.echo(f"  no release runs; llmops history {service.name} tells what did")
        return
    rows = [
        (
            str(release.number),
            release.state,
            release.phase,
            f"{release.share} %",
            _replicas(release),
            str(release.in_flight),
            Bytes(release.memory_bytes).human(),
            ago(release.verified_at),
            release.reason,
        )
        for release in service.releases
    ]
    print_table(
        ("RELEASE", "STATE", "PHASE", "SHARE", "REPLICAS", "IN FLIGHT", "MEMORY", "VERIFIED", ""),
        rows,
    )
    for release in service.releases:
        if release.scaling:
            typer.echo(f"  release {release.number} scales to {release.wanted}: {release.scaling}")
        if release.shadowed:
            typer.echo(f"  shadows      release {release.number}: {_shadowed(release.shadowed)}")


def _shadowed(both: Summary) -> str:
    """Of the requests that both releases got: what this one made of them."""
    said = f"of {both.requests} asked of both, {both.failures} failed, {both.empty} empty"
    said += f", {both.truncated} truncated"
    return said if both.ttft is None else f"{said}; nine of ten begun within {both.ttft:.3g} s"


def _replicas(release: ReleaseStatus) -> str:
    if release.wanted in (None, release.replicas):
        return str(release.replicas)
    return f"{release.replicas} of {release.wanted}"
