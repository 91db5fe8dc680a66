"""Verdicts as lines for people and as plain data for programs. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from bare_metal.fabric import Verdict
from bare_metal.health.checks import Check, table
from bare_metal.health.verdicts import WORST, Health, Result, expected
from bare_metal.hosts.operations import named

UNTRIED = "no check has seen the hardware it is about: all were tried on recordings written by hand"
"""What every report says of itself."""
SHOWN = 50


def report_lines(cluster: str, health: Health) -> Iterator[str]:
    """A report for people: the worst first, what several hosts share once, each with what to do."""
    grouped: dict[tuple[Verdict, str, str, str], list[Result]] = defaultdict(list)
    for host in health.hosts:
        for result in host.results:
            # What is not known is told once for what was read, not for each check that needs it.
            what = "" if result.verdict is Verdict.UNKNOWN else result.check
            about = result.measured if result.verdict is Verdict.UNKNOWN else result.finding
            key = (result.verdict, what, about, result.action if what else "")
            grouped[key].append(result)
    order = sorted(grouped.items(), key=lambda one: WORST.index(one[0][0]))
    for (_, what, _, _), results in order[:SHOWN]:
        yield from _told(results, what)
    if len(order) > SHOWN:
        yield f"and {len(order) - SHOWN} more: -o json prints them all"
    for one in health.left_out:
        yield f"left out: {one.host.name} in rack {one.host.rack}"
    yield _sum(cluster, health)
    yield f"note: {UNTRIED}"


def _told(results: Sequence[Result], what: str) -> Iterator[str]:
    first = results[0]
    hosts = list(dict.fromkeys(result.host for result in results))
    if not what:
        checks = list(dict.fromkeys(result.check for result in results))
        yield f"unknown: {first.measured}  [{named(checks)}]  [{named(hosts)}]"
        if first.check == "host.reached":
            yield f"    fix: {first.action}"
        return
    subjects = list(dict.fromkeys(result.subject for result in results if result.subject))
    where = f"{named(subjects)}: " if subjects else ""
    yield f"{first.verdict}: {where}{first.finding}  [{what}]  [{named(hosts)}]"
    if first.source:
        yield f"    threshold by {first.source}"
    yield f"    fix: {first.action}"


def _sum(cluster: str, health: Health) -> str:
    counts = {
        verdict: sum(one.verdict is verdict for one in health.hosts) for verdict in WORST[::-1]
    }
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    links = [verdict for one in health.hosts for verdict in one.links.values()]
    good = sum(verdict is Verdict.PASS for verdict in links)
    cost = sum(one.host.hourly for one in health.left_out)
    idle = f", which cost {cost:,.2f} USD an hour" if cost else ""
    return (
        f"{cluster}: {health.verdict}; hosts: {said or 'none'}; {good:,} of {len(links):,} links"
        f" pass; {len(health.usable)} of {len(health.hosts)} hosts may be given work"
        + (f", {len(health.left_out)} left out{idle}" if health.left_out else "")
    )


def report_data(health: Health) -> dict[str, Any]:
    """A report as plain data: stable keys, for scripts."""
    return {
        "verdict": str(health.verdict),
        "checks": len(health.checks),
        "tried_on_hardware": [],
        "usable": [one.host.name for one in health.usable],
        "left_out": [{"host": one.host.name, "why": one.why} for one in health.left_out],
        "hosts": [
            {
                "name": one.host.name,
                "rack": one.host.rack,
                "verdict": str(one.verdict),
                "usable": one.usable,
                "passed": one.passed,
                "links": {device: str(verdict) for device, verdict in one.links.items()},
                "results": [_result(result) for result in one.results],
            }
            for one in health.hosts
        ],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "check": result.check,
        "subject": result.subject,
        "verdict": str(result.verdict),
        "measured": result.measured,
        "expected": result.expected,
        "source": result.source,
        "action": result.action,
    }


def check_data(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Checks as plain data, those that do not apply too."""
    applied = {check.id: check for check in checks}
    return [
        {
            "id": check.id,
            "applies": check.id in applied,
            "reads": check.reads,
            "expected": expected(one) if (one := applied.get(check.id)) else "",
            "otherwise": str(check.verdict),
            "source": (one or check).source,
            "action": check.action,
        }
        for check in table()
    ]


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """All checks for people: what each expects and where that is from."""
    for row in check_data(checks):
        yield f"{row['id']}: " + (
            f"{row['expected']}, otherwise {row['otherwise']}"
            if row["applies"]
            else "does not apply"
        )
        yield f"    reads: {row['reads'][:100]}"
        yield f"    by: {row['source']}"
    yield f"note: {UNTRIED}"
