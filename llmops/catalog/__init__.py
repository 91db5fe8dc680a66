"""The catalogue: accelerators, machines and prices as data, a source and a date on every figure."""

from llmops.catalog.check import Finding, Severity, check
from llmops.catalog.loader import load_catalogue
from llmops.catalog.model import Accelerator, Catalogue, Link, Offer, Price, Source
from llmops.catalog.open_models import OpenModel, Origin, Task, open_models, origins
from llmops.catalog.rates import shown
from llmops.catalog.search import accelerators_called, entry_called, offers_of

__all__ = [
    "Accelerator",
    "Catalogue",
    "Finding",
    "Link",
    "Offer",
    "OpenModel",
    "Origin",
    "Price",
    "Severity",
    "Source",
    "Task",
    "accelerators_called",
    "check",
    "entry_called",
    "load_catalogue",
    "offers_of",
    "open_models",
    "origins",
    "shown",
]
