"""The image that pods run: made from the lock, and looked at before anything is applied to it."""

from clusters.image.build import DEFAULT_PYTHON, Built, Context, Order, build, prepare
from clusters.image.builder import BUILDERS, Builder, find_builder
from clusters.image.check import Unreachable, read_labels
from clusters.image.labels import Labels, mismatch
from clusters.image.lock import Flavour, Lock, parse_lock, read_lock
from clusters.image.reference import Reference, parse_reference

__all__ = [
    "BUILDERS",
    "DEFAULT_PYTHON",
    "Builder",
    "Built",
    "Context",
    "Flavour",
    "Labels",
    "Lock",
    "Order",
    "Reference",
    "Unreachable",
    "build",
    "find_builder",
    "mismatch",
    "parse_lock",
    "parse_reference",
    "prepare",
    "read_labels",
    "read_lock",
]
