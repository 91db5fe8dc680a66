"""What `llmops policy simulate` does: read, compose, draw. What is reckoned is the simulator's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.options import Format
from llmops.errors import InputError

if TYPE_CHECKING:
    from llmops.policies import scaling, simulation
    from llmops.spec import Deployment

MONDAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()


def read_trace(path: Path) -> simulation.Trace:
    """Read a trace's file; `-` is standard input.

    Raises:
        InputError: When it cannot be read, or is wrong.
    """
    from llmops.policies import simulation

    if str(path) == "-":
        return simulation.parse_trace(
            typer.get_binary_stream("stdin").read(simulation.MOST_BYTES + 1), "<stdin>"
        )
    try:
        with path.open("rb") as file:
            return simulation.parse_trace(file.read(simulation.MOST_BYTES + 1), str(path))
    except FileNotFoundError as error:
        hint = "--generate SEED --write-trace FILE makes one up"
        raise InputError(f"{path}: expected a trace, found none", hint=hint) from error
    except OSError as error:
        hint = "check its permissions"
        raise InputError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error


def choose(
    loaded: simulation.Trace | None, seed: int | None, *, shape: str, hours: float, rate: float
) -> simulation.Trace:
    """The trace that is meant: read, or made up.

    Raises:
        InputError: When both are, or neither.
    """
    from llmops.policies import simulation

    if (loaded is None) == (seed is None):
        found = "both" if loaded is not None else "neither"
        raise InputError(
            f"expected --trace or --generate, found {found}",
            hint="--trace FILE replays your own requests, --generate SEED makes some up",
        )
    if loaded is not None or seed is None:
        return loaded  # type: ignore[return-value]  # one of the two is there
    if shape not in set(simulation.Shape):
        raise InputError(
            f"expected {', '.join(simulation.Shape)} after --shape, found '{shape[:40]}'",
            hint="diurnal goes up and down once over the trace",
        )
    seconds = hours * 3600
    load = simulation.Load(shape=simulation.Shape(shape), seconds=seconds, day=seconds, rate=rate)
    made = simulation.generate(load, seed)
    if not made.requests:
        raise InputError("nobody asks in this trace", hint="raise --rate or --hours")
    return made


def write_trace(trace: simulation.Trace, path: Path) -> None:
    """Write a trace as CSV.

    Raises:
        InputError: When the file cannot be written.
    """
    from cli.output import tell
    from llmops.policies import simulation

    _write(path, "".join(simulation.written(trace)), "--write-trace")
    tell(f"{len(trace.requests):,} requests written to {path}")


def governed(
    policies: Sequence[Path] | None, spec: Path | None, context: str | None, namespace: str | None
) -> Deployment:
    """The spec, as the policies leave it; what they would refuse of its scaling is told."""
    from cli.output import tell
    from cli.policies import policies_for
    from cli.specs import read_spec
    from llmops.policies import effective, govern, review

    deployment = read_spec([spec] if spec is not None else None).deployment
    placed = policies_for(policies, deployment, context, namespace)
    held = effective([one.value for one in placed], deployment)
    made = govern(deployment, held)
    for finding in review(held, made, None, now=MONDAY):
        if finding.blocks and finding.id.startswith("scaling."):
            tell(f"a deploy would be refused: {finding.id}: {finding.message}")
    return made


def replica(deployment: Deployment, path: Path | None, startup: str | None) -> simulation.Profile:
    """What a replica can do.

    Raises:
        InputError: When the profile's file or the time is wrong.
    """
    from cli.output import tell
    from llmops.policies import simulation
    from llmops.units import Duration

    profile = simulation.USUAL
    if path is not None:
        profile = simulation.read_profile(path)
    else:
        tell("no --profile: a replica of round figures is simulated, and none that was measured;"
             " llmops bench NAME --profile FILE measures one")  # fmt: skip
    if startup is not None:
        try:
            profile = replace(profile, startup=Duration.parse(startup).seconds)
        except ValueError as error:
            raise InputError(f"--startup: {error}", hint="such as --startup 60s") from error
    return simulation.replica_of(deployment, profile)


def moment(text: str | None) -> float:
    """A time in Unix seconds; a Monday's beginning where none is said.

    Raises:
        InputError: When it is none, or has no zone.
    """
    if text is None:
        return MONDAY
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        found_text = f"expected a time after --begins, found '{text[:40]}'"
        raise InputError(found_text, hint="such as 2026-03-02T08:00+01:00") from error
    if found.tzinfo is None:
        raise InputError(
            f"expected a time with its zone after --begins, found '{text[:40]}'",
            hint=f"such as {text[:40]}+00:00",
        )
    return found.timestamp()


def run(
    deployment: Deployment,
    trace: simulation.Trace,
    profile: simulation.Profile,
    usd_per_hour: float | None,
    *,
    begins: float,
    optimum: bool,
    plot: Path | None,
    output: Format,
) -> None:
    """Simulate, and print what came of it."""
    from cli.catalog import open_catalogue
    from cli.output import Drawer, print_data
    from llmops.events import Progress
    from llmops.policies import simulation

    settings = simulation.settings_for(deployment, profile.startup)
    rules = simulation.rules_for(deployment, settings, trace, profile)
    if usd_per_hour is None:
        usd_per_hour = simulation.price_of(deployment, open_catalogue(None), profile.devices)
    drawer = Drawer()
    try:
        made = simulation.study(
            settings, trace, profile, rules, begins=begins, usd_per_hour=usd_per_hour,
            optimum=optimum,
            progress=lambda what, share: drawer.progress(
                Progress("simulate", what, percent=100 * share)
            ),
        )  # fmt: skip
    finally:
        drawer.still()
    if plot is not None:
        _write(plot, simulation.svg(made, f"{deployment.name}: {trace.name}"), "--plot")
    if output is not Format.TEXT:
        print_data(simulation.document(made, trace, settings, profile, rules), output)
        return
    _print_settings(deployment, trace, settings, profile, rules)
    _print_rows(made)
    _print_verdict(made, settings)


def _print_settings(
    deployment: Deployment,
    trace: simulation.Trace,
    settings: scaling.ScalingSettings,
    profile: simulation.Profile,
    rules: simulation.Rules,
) -> None:
    from cli.fleet_tables import say

    rate = len(trace.requests) / trace.seconds
    ttft = "none" if rules.ttft is None else f"{rules.ttft:g} s"
    tpot = "none" if rules.tpot is None else f"{1000 * rules.tpot:g} ms"
    assumed = " (assumed: neither spec nor policy has an objective)" * (
        settings.ttft is None and rules.ttft is not None
    )
    say(f"trace      {trace.name}: {len(trace.requests):,} requests in {trace.seconds:,.0f} s,"
        f" {rate:.2f} a second")  # fmt: skip
    say(f"service    {deployment.name}: {settings.low} to {settings.high} replicas,"
        f" {settings.target_in_flight:g} requests in flight aimed at, {rules.initial} at first;"
        f" settle {settings.settle_seconds:g} s, warm {settings.warm}")  # fmt: skip
    say(f"objective  TTFT {ttft}, TPOT {tpot} for {settings.percent:g} % of requests{assumed}")
    say(f"replica    {profile.slots} at once, takes {profile.most}, reads"
        f" {profile.prefill_rate:,.0f} tokens/s, a step takes {1000 * profile.step:g} ms and"
        f" {1000 * profile.step_each:g} ms a request, starts in {profile.startup:g} s,"
        f" {profile.devices} GPU")  # fmt: skip
    typer.echo("")


def _print_rows(made: simulation.Study) -> None:
    from cli.output import print_table

    heads = ("POLICY", "GPU HOURS", "OF OPTIMUM", "ATTAINED", "TTFT P50", "TTFT P99", "COST",
             "STARTS", "PEAK", "HELD", "REJECTED")  # fmt: skip
    print_table(heads, [_cells(row) for row in made.rows])


def _cells(row: simulation.Row) -> tuple[str, ...]:
    one = row.figures
    return (
        row.name, f"{one.gpu_hours:,.2f}", "-" if row.ratio is None else f"{row.ratio:.3f}",
        f"{one.attained:.2%}", f"{one.ttft_p50:.2f} s", f"{one.ttft_p99:.2f} s",
        "-" if one.usd is None else f"{one.usd:,.2f} USD", f"{one.started:,}", f"{one.peak:,}",
        f"{one.held:,}", f"{one.rejected:,}",
    )  # fmt: skip


def _print_verdict(made: simulation.Study, settings: scaling.ScalingSettings) -> None:
    from cli.fleet_tables import say
    from llmops.policies import simulation

    typer.echo("")
    best, ours = made.row(simulation.OPTIMUM), made.row(simulation.OURS)
    if made.bound is not None:
        say(f"the optimum is at least {made.bound:,.2f} GPU hours, which no policy stays below;")
        if best is not None:
            say(f"at most {best.figures.gpu_hours:,.2f}, a schedule made in knowledge of the trace")
        else:
            say(f"no schedule was found: {settings.high} replicas are too few for this trace")
    if ours is not None and ours.figures.attained < settings.percent / 100:
        say(
            f"ours misses the objective: {ours.figures.attained:.2%} of {settings.percent:g} %;"
            " a higher lowest number in scaling.replicas, or scaling.warm, keeps more ready"
        )


def _write(path: Path, text: str, option: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        hint = f"name another file after {option}"
        raise InputError(f"{path} cannot be written: {error.strerror}", hint=hint) from error
