"""How long the program of a stack takes, beside a hand-written one of the same resources.

    python -m benchmarks.infra [ROUNDS]

Both run under Pulumi's own language server against an engine that only listens (`tests.infra`), so
neither engine nor provider nor cloud is in these times. The hand-written side declares the very
resources by pulumi_aws's classes, flat and with values in place of references: what nobody can be
quicker than. Seconds of this process's processor, both sides in turn, and the hand-written one a
second time as the noise floor. Planning is timed by itself, and so are the decision that a plan
changes nothing, and what one golden graph of the tests costs: the capture and the comparison.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.kept import PLAN
from infra.program import program
from infra.tags import machines_digest
from llmops.planning import Facts, make_plan
from llmops.spec import Deployment
from tests.infra.capturing import Captured, Registered, capture
from tests.infra.graphs import captured, case, golden, text
from tests.infra.making import deployment, facts, files

MACHINES = (1, 200)
AIM = 2.0
"""Times as long as by hand, at most."""


def spent(work: Callable[[], object]) -> float:
    """Seconds of this process's processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def by_hand(found: Captured) -> Callable[[], None]:
    """A flat program that declares what was captured."""
    declared = [
        (_class(one), one.name, _snake(one.inputs), one.urn)
        for one in found.resources.values()
        if one.kind.startswith("aws:")
    ]

    def declare() -> None:
        provider = aws.Provider("aws", region="us-east-1")
        for resource, name, inputs, urn in declared:
            parts = urn.split("$")
            unique = f"{parts[-2].rpartition(':')[2]}-{name}"
            resource(unique, **inputs, opts=pulumi.ResourceOptions(provider=provider))

    return declare


def _class(one: Registered) -> Any:
    module, name = one.kind.split(":")[1].partition("/")[0], one.kind.rpartition(":")[2]
    return getattr(getattr(aws, module), name)


def _snake(value: Any, key: str = "") -> Any:
    """Inputs as Python's classes name them; a mapping of tags stays."""
    if isinstance(value, list):
        return [_snake(one) for one in value]
    if not isinstance(value, Mapping) or key == "tags":
        return value
    if "path" in value and len(value) > 1:  # an asset
        return pulumi.FileAsset(value["path"])
    return {re.sub(r"(?<!^)([A-Z])", r"_\1", k).lower(): _snake(v, k) for k, v in value.items()}


def compare(made: Deployment, rounds: int, folder: Path) -> tuple[float, float, float, int]:
    """Seconds of our program, of the one by hand, and of that again; and how many resources."""
    plan, put = make_plan(made, facts(made)), files(folder)
    ours: list[float] = []
    hand: list[float] = []
    again: list[float] = []
    whole = capture(lambda: program(made, plan, put))
    flat = by_hand(whole)
    assert not capture(flat).error
    for _ in range(rounds):
        ours.append(spent(lambda: capture(lambda: program(made, plan, put))))
        hand.append(spent(lambda: capture(flat)))
        again.append(spent(lambda: capture(flat)))
    middle = statistics.median
    return middle(ours), middle(hand), middle(again), len(whole.resources)


def main(rounds: int) -> None:
    """Print a line for each number of machines, of planning, of a plan that changes nothing, and of
    a golden graph; then all figures as JSON."""
    ratios: dict[int, float] = {}
    noise: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for machines in MACHINES:
            made = _with(machines)
            ours, hand, again, count = compare(made, rounds, Path(folder))
            ratios[machines], noise[machines] = round(ours / hand, 2), round(again / hand, 2)
            print(
                f"{machines:4} machines, {count} resources: {ours:.2f} s, by hand {hand:.2f} s"
                f" (again {again:.2f} s, {again / hand:.2f} times): {ours / hand:.2f} times"
                f" (aim: at most {AIM:.1f})"
            )
        made, known = _with(200), facts(_with(200))
        make_plan(made, known)
        times = [spent(lambda: make_plan(made, known)) for _ in range(rounds)]
        print(f"planning 200 machines: {1000 * statistics.median(times):.0f} ms")
        unchanged = _print_no_change(made, known, rounds)
        graph = _print_capture(rounds)
    figures = {"ratio": ratios, "noise": noise, "no_change_ms": unchanged, "golden_graph_s": graph}
    print(json.dumps(figures))


def _print_no_change(made: Deployment, known: Facts, rounds: int) -> float:
    """A plan of 200 machines that is what the last one was: planned, kept, read and compared."""
    before = PLAN.dump_json(make_plan(made, known))

    def decide() -> None:
        again = make_plan(made, known)
        was = PLAN.validate_json(before)
        assert was.identity == again.identity
        assert machines_digest(was) == machines_digest(again)

    times = [spent(decide) for _ in range(rounds)]
    milliseconds = round(1000 * statistics.median(times), 1)
    print(f"a plan of 200 machines that changes nothing: {milliseconds:.0f} ms")
    return milliseconds


def _print_capture(rounds: int) -> float:
    """One case of `tests/infra/test_graph.py`, by the clock: planned, captured and compared."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        assert text(captured(case("public"))) == golden("public").read_text()
        times.append(time.perf_counter() - began)
    seconds = round(statistics.median(times), 2)
    print(f"a golden graph, captured and compared: {seconds:.2f} s by the clock")
    return seconds


def _with(machines: int) -> Deployment:
    """A deployment on so many machines of one GPU."""
    made = deployment()
    scaling = made.scaling.model_dump(mode="json") | {"replicas": str(machines)}
    whole = made.model_dump(mode="json", exclude_defaults=True) | {"scaling": scaling}
    return Deployment.model_validate(whole, strict=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
