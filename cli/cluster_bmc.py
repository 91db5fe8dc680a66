"""`llmops cluster bmc`: hosts by their management controllers, also those that do not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cluster_hosts import Hosts, Most, folder_of, read
from cli.fabric import EXITS, ClusterFiles
from cli.options import Format, Output, Yes

if TYPE_CHECKING:
    from bare_metal.bmc import Controller, Controllers, Found, Part
    from bare_metal.inventory import Cluster, Placed
    from llmops.units import Duration

group = typer.Typer(
    help="Power, boot device, sensors and parts of hosts, by their management controllers.",
    no_args_is_help=True,
)

Host = Annotated[str, typer.Argument(help="Name of the host.", metavar="HOST")]
Preview = Annotated[bool, typer.Option("--preview", help="Show what would be done, and end.")]


class To(StrEnum):
    """What a host's power can be brought to: `Power` of `bare_metal.bmc`, which takes too long to
    import for every command's help."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


class Device(StrEnum):
    """Where a host can start from: `BootFrom`, for the same reason."""

    PXE = "pxe"
    HTTP = "http"
    DISK = "disk"
    CD = "cd"
    USB = "usb"
    SETUP = "setup"
    NORMAL = "normal"


@group.command("show")
def show(
    host: Hosts = None, file: ClusterFiles = None, parallel: Most = 16, output: Output = Format.TEXT
) -> None:
    """Show power, boot device, health and the hottest sensor of hosts, and what is not known.

    Only looks. A controller that does not answer stays in the table. Ends with 0 when all is well,
    3 when something is not, 4 when something is not known.
    """
    from bare_metal.bmc import HEADS, SENSORS, data, fault_lines, row
    from cli.output import print_data, print_table, tell

    found = Way.to(file, host or ()).asked([SENSORS], parallel)
    if output is not Format.TEXT:
        print_data({"hosts": data(found)}, output)
    else:
        print_table(HEADS, [row(name, one) for name, one in found.items()])
        for line in fault_lines(found):
            tell(line)
    _end(found)


@group.command("sensors")
def sensors(host: Host, file: ClusterFiles = None, output: Output = Format.TEXT) -> None:
    """Show every sensor of a host with its reading, its own thresholds and its health.

    Only looks. Ends as `show` does.
    """
    from bare_metal.bmc import SENSOR_HEADS, SENSORS, Controller, data, fault_lines, sensor_row
    from cli.output import print_data, print_table, tell

    found = Way.to(file, (host,)).asked([SENSORS])
    one = found[host]
    if output is not Format.TEXT:
        print_data({"hosts": data(found)}, output)
    else:
        if isinstance(one, Controller):
            print_table(SENSOR_HEADS, [sensor_row(sensor) for sensor in one.sensors])
        for line in fault_lines(found):
            tell(line)
    _end(found)


@group.command("inventory")
def inventory(host: Host, file: ClusterFiles = None, output: Output = Format.TEXT) -> None:
    """Show what a host is made of: model, serial number, processors, memory, firmware.

    Only looks. Ends with 4 when something is not known, or the controller does not answer.
    """
    from bare_metal.bmc import FIRMWARE, Controller, inventory_data, inventory_lines
    from cli.output import print_data

    one = Way.to(file, (host,)).asked([FIRMWARE])[host]
    if output is not Format.TEXT:
        print_data({"hosts": {host: inventory_data(one)}}, output)
    else:
        typer.echo("\n".join(inventory_lines(host, one)))
    raise typer.Exit(0 if isinstance(one, Controller) and one.whole else 4)


@group.command("power")
def power(
    to: Annotated[To, typer.Argument(help="cycle is off and on again.")],
    host: Host,
    file: ClusterFiles = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take power at once, in place of a shutdown.")
    ] = False,
    within: Annotated[
        str, typer.Option("--within", metavar="TIME", help="How long a shutdown may take.")
    ] = "5min",
    despite: Annotated[
        str | None,
        typer.Option(
            "--despite-serving", metavar="WHY",
            help="Do it though the host serves, or though that is not known.",
        ),
    ] = None,
    preview: Preview = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:  # fmt: skip
    """Have a host on, off, or off and on again, and see that it is so.

    A system is shut down before its power goes. Refused for a host that serves, which is asked over
    SSH: `llmops cluster maintain` takes it out of service first. What is so already is left alone.
    """
    from bare_metal.bmc import Power, plan_power, set_power
    from cli.output import print_data, tell

    patience, way = _time(within), _changing(file, host, yes=yes or preview)
    plan = plan_power(host, way.one(), Power(to.value), force=force)
    lines = [f"{step.reset}: {step.why}" for step in plan.steps]
    if output is not Format.TEXT:
        print_data({"host": host, "power": plan.found, "steps": lines, "despite": despite}, output)
    if not plan.steps:
        tell(f"{host} is {plan.found} already: nothing to do")
        return
    if plan.ends_work:
        _refuse_serving(way, despite)
    tell(f"{host} is {plan.found}")
    if not _agreed(lines, f"Power {host} {to.value}?", yes=yes, preview=preview):
        return
    set_power(way.hosts[0], plan, way.by, system=way.cluster.bmc.system, within=patience, told=tell)
    tell(f"{host} is {plan.steps[-1].until}")


@group.command("boot")
def boot(
    host: Host,
    device: Annotated[Device, typer.Argument(help="normal takes away what was set.")],
    file: ClusterFiles = None,
    permanent: Annotated[
        bool, typer.Option("--permanent/--once", help="At every start, or at the next one only.")
    ] = False,
    preview: Preview = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
) -> None:
    """Have a host start from elsewhere, at its next start or at every one; nothing is started.

    What the controller says afterwards is read again. What is so already is left alone.
    """
    from bare_metal.bmc import BootFrom, plan_boot, set_boot
    from cli.output import print_data, tell

    way = _changing(file, host, yes=yes or preview)
    plan = plan_boot(host, way.one(), BootFrom(device.value), permanent=permanent)
    lines = [f"start it {plan.text}"] if plan.changes else []
    if output is not Format.TEXT:
        print_data({"host": host, "boot": plan.found.text, "steps": lines}, output)
    if not lines:
        tell(f"{host} starts {plan.found.text} already: nothing to do")
        return
    tell(f"{host} starts {plan.found.text}")
    if not _agreed(lines, f"Have {host} start {plan.text}?", yes=yes, preview=preview):
        return
    set_boot(way.hosts[0], plan, way.by, system=way.cluster.bmc.system)
    tell(f"{host} starts {plan.text}")


@dataclass(frozen=True, slots=True)
class Way:
    """Hosts, and the way to their controllers."""

    cluster: Cluster
    folder: Path
    hosts: tuple[Placed, ...]
    by: Controllers

    @classmethod
    def to(cls, file: list[Path] | None, names: Sequence[str]) -> Way:
        """The way to the controllers of hosts; says so where nothing tells who they are."""
        from bare_metal.bmc import open_controllers, with_controllers
        from bare_metal.hosts.connection import chosen
        from cli.output import tell

        cluster, folder = read(file), folder_of(file)
        hosts = with_controllers(chosen(cluster, names))
        by = open_controllers(cluster, folder)
        if cluster.bmc.insecure:
            tell(
                "warning: certificates of the controllers are not verified (bmc.insecure): whoever"
                " stands between reads the password"
            )
        return cls(cluster, folder, hosts, by)

    def asked(self, parts: Sequence[Part] = (), most: int = 1) -> dict[str, Found]:
        """What the controllers say."""
        from bare_metal.bmc import gather

        return gather(self.hosts, self.by, system=self.cluster.bmc.system, parts=parts, most=most)

    def one(self) -> Controller:
        """What the controller of the only host says."""
        from bare_metal.hosts.connection import Unreachable
        from llmops.errors import TargetError

        ((name, found),) = self.asked().items()
        if isinstance(found, Unreachable):
            raise TargetError(f"{name}: {found.reason}", hint=found.hint)
        return found


def _changing(file: list[Path] | None, host: str, *, yes: bool) -> Way:
    from cli.output import may_ask

    may_ask(yes)
    return Way.to(file, (host,))


def _agreed(lines: Sequence[str], question: str, *, yes: bool, preview: bool) -> bool:
    """Whether to go on, after what would be done was shown."""
    from cli.output import ask, tell
    from llmops.errors import RefusedError

    for line in lines:
        tell(f"  {line}")
    if preview:
        return False
    if not yes and not ask(question):
        raise RefusedError("nothing was changed")
    return True


def _refuse_serving(way: Way, despite: str | None) -> None:
    from bare_metal.hosts.connection import connector, held
    from bare_metal.maintaining import in_the_way
    from cli.output import tell
    from llmops.errors import InputError, RefusedError

    if despite is not None:
        if not despite.strip():
            raise InputError(
                "--despite-serving: expected a reason, found none",
                hint="such as 'its fans have failed': it is printed with what is done",
            )
        tell(f"not asked whether it serves: {despite}")
        return
    (host,) = way.hosts
    by = connector(way.cluster, way.folder)
    why = in_the_way(host, by)
    if why:
        raise RefusedError(
            f"{host.name} keeps its power: {why}",
            hint=f"llmops cluster maintain {host.name} takes it out of service; or say why it"
            " must go all the same: --despite-serving WHY",
        )
    with held((host,), by, "powered by its controller"):  # no command is at work there
        return


def _time(text: str) -> Duration:
    from llmops.errors import InputError
    from llmops.units import Duration

    try:
        return Duration.parse(text)
    except ValueError as error:
        raise InputError(f"--within: {error}", hint="such as 5min") from error


def _end(found: dict[str, Found]) -> None:
    from bare_metal.bmc import faults_of, verdict_of

    raise typer.Exit(EXITS[verdict_of(faults_of(found))])
