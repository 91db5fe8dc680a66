"""Engines: what runs a model, as an ASGI app in the process of a replica."""

from serving.engines.adapters import Adapters, UnknownReleaseError
from serving.engines.arguments import check_arguments, known_arguments
from serving.engines.asgi import call
from serving.engines.settings import EngineRun, Place

__all__ = [
    "Adapters",
    "EngineRun",
    "Place",
    "UnknownReleaseError",
    "call",
    "check_arguments",
    "known_arguments",
]
