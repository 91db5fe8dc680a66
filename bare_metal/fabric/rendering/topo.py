"""The cable plan as `ibdiagnet` reads it (`ibdiagnet -t FILE`), to hold a fabric against it there.

Written by the pattern in the documentation of NVIDIA's Cable Validation Tool and `ibdiagnet`; that
program is not free to have, so no test has read these lines with it.
"""

from __future__ import annotations

from bare_metal.fabric.model import FabricPlan

MODELS = {"EDR": "MSB7800", "HDR": "MQM8700", "NDR": "MQM9700", "XDR": "MQ3400"}
"""The system type that the format wants for a switch, by speed: NVIDIA's own switches."""

LANES = {"EDR": "25G", "HDR": "50G", "NDR": "100G", "XDR": "200G"}
"""Speed of a lane, as the format writes it."""


def topo(plan: FabricPlan) -> str:
    """One line for each cable, from the switch's side."""
    width, speed = plan.link[:2], plan.link[2:]
    arrow = f"-{width}-{LANES[speed]}->"
    roles = {one.name: one for one in plan.adapters}
    lines = []
    for low, high in plan.cables:
        if adapter := roles.get(low.node):
            there = f"HCA_{adapter.device} {adapter.host} {adapter.device}/P{low.port}"
            lines.append(f"{MODELS[speed]} {high.node} P{high.port} {arrow} {there}")
        else:
            there = f"{MODELS[speed]} {high.node} P{high.port}"
            lines.append(f"{MODELS[speed]} {low.node} P{low.port} {arrow} {there}")
    return "\n".join(lines) + "\n"
