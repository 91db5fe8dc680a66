"""What machines boot from: an image by its id, or the one that a public parameter stands for. Pure.

A parameter's image is looked up once, and the plan pins its id, so that machines that are added
later boot from the same one. Where nobody could look, the machine asks the parameter itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmops.planning.figure import Figure
from llmops.spec import CloudTarget

HEAD_IMAGE: Mapping[str, str] = {
    "aws": "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest"
    "/ami-id",
}
"""By provider: the parameter that `auto` stands for. NVIDIA's driver and Python 3.12 are in it."""


def images_of(target: CloudTarget) -> tuple[str, ...]:
    """Names of the parameters that must be looked up to pin a target's image."""
    name = _parameter(target)
    return (name,) if name else ()


def image_of(target: CloudTarget, known: Mapping[str, str]) -> Figure:
    """The image, with the reason for it.

    Args:
        target: Where machines are made.
        known: The image that each parameter stands for, as far as somebody looked.
    """
    name = _parameter(target)
    if not name:
        return Figure(target.image, "as asked")
    if name in known:
        return Figure(known[name], f"what {name} stood for")
    return Figure(f"resolve:ssm:{name}", "not looked up: a machine asks when it starts")


def _parameter(target: CloudTarget) -> str:
    if target.image == "auto":
        return HEAD_IMAGE[target.kind]
    return target.image if target.image.startswith("/") else ""
