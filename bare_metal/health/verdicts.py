"""Verdicts over hosts and links: every check held against what is known of a host. Pure.

The door for whoever places work: `verdicts(cluster, readings)`. A host that did not answer, or of
which something is unknown that would rule it out, is given no work, and the reason is kept. Faults
of the fabric may be handed in, so that host and fabric make one verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bare_metal.fabric import Fault, Verdict
from bare_metal.health.checks import Check, Value, checks_of
from bare_metal.health.measures import MEASURES, Asked, Measured
from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import HostFacts, Readings, Unknown
from bare_metal.inventory import Cluster, Placed, hosts_of, rails_of

WORST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.DEGRADED, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one host that did not pass, or one fault of the fabric at it."""

    check: str
    host: str
    subject: str
    """What of the host: `gpu 3`, `mlx5_0`; empty for the host itself."""
    verdict: Verdict
    measured: str
    expected: str
    source: str
    action: str
    rules_out: bool
    """Whether a host with it is given no work."""

    @property
    def finding(self) -> str:
        """What it is, wherever it is, for people."""
        if self.verdict is Verdict.UNKNOWN:
            return f"not known: {self.measured}"
        return f"found {self.measured}, expected {self.expected}"

    @property
    def message(self) -> str:
        """What it is and of what, for people."""
        return f"{self.subject}: {self.finding}" if self.subject else self.finding


@dataclass(frozen=True, slots=True)
class HostHealth:
    """What can be said of a host."""

    host: Placed
    verdict: Verdict
    results: tuple[Result, ...]
    """What did not pass, the worst first."""
    links: Mapping[str, Verdict]
    """The verdict of each compute adapter's link, by device."""
    passed: int
    """Checks that passed, counted for each GPU and link."""

    @property
    def usable(self) -> bool:
        """Whether it may be given work."""
        return not any(result.rules_out for result in self.results)

    @property
    def why(self) -> str:
        """Why it may not, in a line."""
        return "; ".join(f"{one.message} [{one.check}]" for one in self.results if one.rules_out)


@dataclass(frozen=True, slots=True)
class Health:
    """What can be said of a cluster's hosts."""

    hosts: tuple[HostHealth, ...]
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all hosts."""
        return worst(one.verdict for one in self.hosts)

    @property
    def usable(self) -> tuple[HostHealth, ...]:
        """Hosts that may be given work."""
        return tuple(one for one in self.hosts if one.usable)

    @property
    def left_out(self) -> tuple[HostHealth, ...]:
        """Hosts that may not."""
        return tuple(one for one in self.hosts if not one.usable)


def worst(found: Iterable[Verdict]) -> Verdict:
    """What is known to be broken first, then what is not known."""
    there = set(found)
    return next((verdict for verdict in WORST if verdict in there), Verdict.PASS)


def verdicts(
    cluster: Cluster,
    readings: Readings,
    *,
    checks: Sequence[Check] | None = None,
    faults: Sequence[Fault] = (),
    hosts: Sequence[Placed] | None = None,
) -> Health:
    """What can be said of a cluster's hosts.

    Args:
        cluster: What is declared.
        readings: What is known of each host, by name. A host without an entry is unknown.
        checks: Those to make; all that apply, with llmops's own thresholds, where left out.
        faults: What `bare_metal.fabric.verify` found, for the verdicts of links.
        hosts: Those to speak of; all where left out.
    """
    made = checks_of(cluster) if checks is None else tuple(checks)
    spoken_of = hosts_of(cluster) if hosts is None else hosts
    by_host = _by_host(faults)
    return Health(
        tuple(
            _host(
                cluster, host, readings.get(host.name, Unreachable("it was not asked")), made,
                by_host.get(host.name, ()),
            )
            for host in spoken_of
        ),
        made,
    )  # fmt: skip


def _host(
    cluster: Cluster, host: Placed, found: HostFacts | Unreachable, checks: Sequence[Check],
    faults: Sequence[tuple[str, Fault]],
) -> HostHealth:  # fmt: skip
    results = [_of_fault(host, device, fault) for device, fault in faults]
    devices = [device for _, device in rails_of(cluster)]
    passed = 0
    if isinstance(found, Unreachable):
        action = found.hint or "see whether it has power and network: its management controller"
        results.append(
            Result("host.reached", host.name, "", Verdict.UNKNOWN, found.reason, "an answer",
                   "", action, rules_out=True)
        )  # fmt: skip
    else:
        for check in checks:
            for result in _made(check, cluster, host, found):
                if result is None:
                    passed += 1
                else:
                    results.append(result)
    results.sort(key=lambda one: WORST.index(one.verdict))
    links = {device: _link(device, found, checks, results) for device in devices}
    return HostHealth(host, worst(one.verdict for one in results), tuple(results), links, passed)


def _link(
    device: str, found: HostFacts | Unreachable, checks: Sequence[Check], results: Sequence[Result]
) -> Verdict:
    """A link's verdict: of what is about it alone, and unknown where its adapter was not read."""
    unread = isinstance(found, Unreachable) or isinstance(found.hcas, Unknown)
    unknown = [Verdict.UNKNOWN] if unread or not any(check.link for check in checks) else []
    return worst([*unknown, *(one.verdict for one in results if one.subject == device)])


def _made(
    check: Check, cluster: Cluster, host: Placed, facts: HostFacts
) -> Iterator[Result | None]:
    """A check made: a result for whatever did not pass, None for what did."""
    value = getattr(facts, check.fact)
    if isinstance(value, Unknown):
        yield _result(check, host, Measured(None), value.reason)
        return
    for measured in MEASURES[check.measure](Asked(value, facts, host.name, cluster)):
        if measured.value is None:
            yield _result(check, host, measured, "the host does not say")
        else:
            yield None if _fits(check, measured.value) else _result(check, host, measured)


def _fits(check: Check, measured: object) -> bool:
    wanted = check.value
    if check.how in ("one_of", "none_of"):
        listed = wanted if isinstance(wanted, tuple) else (wanted,)
        found = measured if isinstance(measured, tuple) else (measured,)
        inside = [one in listed for one in found]
        return all(inside) if check.how == "one_of" else not any(inside)
    if check.how == "equals":
        return measured == wanted
    if not isinstance(measured, (int, float)) or not isinstance(wanted, (int, float)):
        return False
    return measured >= wanted if check.how == "at_least" else measured <= wanted


def _result(check: Check, host: Placed, measured: Measured, unknown: str = "") -> Result:
    verdict = Verdict.UNKNOWN if unknown else check.verdict
    return Result(
        check.id, host.name, measured.subject, verdict, unknown or shown(measured.value),
        expected(check), check.source, check.action, rules_out=check.verdict is Verdict.FAIL,
    )  # fmt: skip


def expected(check: Check) -> str:
    """What a check expects, for people."""
    words = {
        "equals": "", "at_least": "at least ", "at_most": "at most ", "one_of": "one of ",
        "none_of": "none of ",
    }  # fmt: skip
    return words[check.how] + shown(check.value)


def shown(value: Value | tuple[int, ...]) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _by_host(faults: Sequence[Fault]) -> dict[str, list[tuple[str, Fault]]]:
    """Faults of the fabric by the hosts whose adapters they show at."""
    found: dict[str, list[tuple[str, Fault]]] = {}
    for fault in faults:
        for end in fault.ends:
            host, _, device = end.node.partition(" ")
            if device:
                found.setdefault(host, []).append((device, fault))
    return found


def _of_fault(host: Placed, device: str, fault: Fault) -> Result:
    return Result(
        fault.id, host.name, device, fault.severity, fault.measured or fault.message,
        fault.expected or "as planned", fault.source, fault.fix,
        rules_out=fault.severity in (Verdict.FAIL, Verdict.UNKNOWN),
    )  # fmt: skip
