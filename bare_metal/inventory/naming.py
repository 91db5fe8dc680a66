"""Names of switches, as they stand on labels and as the switches must call themselves.

Pure. A leaf is named for its unit and rail, so that whoever reads a message knows where to go.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.inventory.expansion import rails_of, units_of
from bare_metal.inventory.model import Cluster
from bare_metal.inventory.shape import Shape


def leaf_name(unit: str, rail: int) -> str:
    """The leaf of a rail in a unit: `leaf-su1-r3`."""
    return f"leaf-{unit}-r{rail}"


def spine_name(shape: Shape, number: int, rail: int = 1, block: int = 1) -> str:
    """A spine, counted from 1 in its pod: `spine-03`, or `spine-r2-03` where rails have their own,
    or `spine-r2-b1-03` where a rail has several groups of them."""
    if not shape.cores:
        return f"spine-{number:02}"
    pod = f"r{rail}" if shape.pods == shape.rails else f"r{rail}-b{block}"
    return f"spine-{pod}-{number:02}"


def core_name(plane: int, number: int) -> str:
    """A core, counted from 1 in its plane: `core-p03-2`."""
    return f"core-p{plane:02}-{number}"


def switch_names(cluster: Cluster, shape: Shape) -> Iterator[str]:
    """Names of all switches."""
    rails = [rail for rail, _ in rails_of(cluster)]
    for unit, _ in units_of(cluster):
        yield from (leaf_name(unit, rail) for rail in rails)
    numbers = range(1, shape.spines + 1)
    if not shape.cores:
        yield from (spine_name(shape, number) for number in numbers)
        return
    for block in range(1, shape.pods // shape.rails + 1):
        for rail in rails:
            yield from (spine_name(shape, number, rail, block) for number in numbers)
    for plane in numbers:
        yield from (core_name(plane, number) for number in range(1, shape.cores + 1))
