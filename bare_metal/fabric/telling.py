"""A cable plan and a report as text for people, and as plain data for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bare_metal.fabric.findings import Verdict
from bare_metal.fabric.model import FabricPlan
from bare_metal.fabric.verify import Report

SHOWN = 50
"""Faults that are shown to people; programs get all."""


def summary(plan: FabricPlan) -> dict[str, Any]:
    """The plan's counts as plain data."""
    shape = plan.shape
    return {
        "cluster": plan.cluster,
        "kind": plan.kind,
        "link": plan.link,
        "hosts": len({one.host for one in plan.adapters}),
        "adapters": len(plan.adapters),
        "rails": shape.rails,
        "units": shape.units,
        "levels": shape.levels,
        "leaves": shape.leaves,
        "spines": shape.all_spines,
        "cores": shape.all_cores,
        "ports_per_switch": shape.radix,
        "cables": {
            "hosts": len(plan.adapters),
            "leaf_to_spine": shape.leaves * shape.spines * shape.leaf_cables,
            "spine_to_core": shape.all_spines * shape.cores * shape.spine_cables,
        },
        "oversubscription": round(shape.oversubscription, 3),
    }


def told(plan: FabricPlan) -> Iterator[str]:
    """The plan in lines, each number with its reason."""
    shape, data = plan.shape, summary(plan)
    yield (
        f"{plan.cluster}: {data['hosts']} hosts in {shape.units} units, {shape.rails} rails,"
        f" {plan.link}"
    )
    yield f"  leaves  {shape.leaves:>5}  one for each rail of each unit; {shape.down} host ports"
    if shape.spines:
        pods = f" in each of {shape.pods} pods of a rail" if shape.cores else ""
        yield (
            f"  spines  {shape.all_spines:>5}  {shape.spines}{pods}; {shape.leaf_cables} cables"
            f" from each leaf to each, {shape.up} uplinks of a leaf"
        )
    if shape.cores:
        yield (
            f"  cores   {shape.all_cores:>5}  {shape.cores} for each of {shape.spines} planes;"
            f" {shape.spine_cables} cables from each spine to each"
        )
    counts = data["cables"]
    yield (
        f"  cables  {sum(counts.values()):>5,}  {counts['hosts']:,} to hosts,"
        f" {counts['leaf_to_spine']:,} from leaves to spines"
        + (f", {counts['spine_to_core']:,} from spines to cores" if shape.cores else "")
    )
    if shape.oversubscription > 1:
        yield f"  oversubscribed {shape.oversubscription:g} to 1 at the leaves"
    else:
        yield "  not oversubscribed"


PLAN = "the cable plan, made of the cluster file"
"""Where what is expected is from, unless a fault names a threshold's source."""


def report_data(report: Report) -> dict[str, Any]:
    """A report as plain data: stable keys, for scripts."""
    return {
        "verdict": str(report.verdict),
        "nodes": report.nodes,
        "cables": report.cables,
        "faults": [
            {
                "id": fault.id,
                "severity": str(fault.severity),
                "message": fault.message,
                "ends": [{"node": end.node, "port": end.port} for end in fault.ends],
                "measured": fault.measured,
                "expected": fault.expected,
                "source": fault.source or PLAN,
                "fix": fault.fix,
            }
            for fault in report.faults
        ],
    }


def report_lines(plan: FabricPlan, report: Report) -> Iterator[str]:
    """A report for people: the worst first, each with what to do."""
    order = list(Verdict)[::-1]
    worst = sorted(report.faults, key=lambda fault: order.index(fault.severity))
    for fault in worst[:SHOWN]:
        yield f"{fault.severity}: {fault.message}  [{fault.id}]"
        if fault.source:
            yield f"    threshold: {fault.expected}, by {fault.source}"
        yield f"    fix: {fault.fix}"
    if len(worst) > SHOWN:
        yield f"and {len(worst) - SHOWN} more: -o json prints them all"
    many = len(report.faults)
    whole = len(plan.adapters) + len(plan.switches)
    yield (
        f"{plan.cluster}: {report.verdict}; {many or 'no'} fault{'s' if many != 1 else ''},"
        f" {report.nodes:,} of {whole:,} nodes answered, {report.cables:,} of"
        f" {len(plan.cables):,} cables are up"
    )
