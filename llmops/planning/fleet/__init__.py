"""Fleet plans: every machine type of the catalogue weighed for a model, with reasons."""

from llmops.planning.figures import kv_per_token
from llmops.planning.fleet.advice import Change, changes, nearest_miss
from llmops.planning.fleet.asking import Wish, dollars, needs_of, only, wished
from llmops.planning.fleet.budget import Budget, capability
from llmops.planning.fleet.compare import Cell, Row, compare, of_fleet, of_local
from llmops.planning.fleet.derivation import Derivation
from llmops.planning.fleet.derivation import lines as derivation_lines
from llmops.planning.fleet.derivation import plain as plain_derivation
from llmops.planning.fleet.derivation import shown as derivation_shown
from llmops.planning.fleet.derived import explain
from llmops.planning.fleet.derived_local import explain_local
from llmops.planning.fleet.document import document, prices
from llmops.planning.fleet.lines import (
    Line,
    kv_tokens,
    memory_lines,
    spare_machines,
    spare_replicas,
)
from llmops.planning.fleet.listing import Weighed, every_layout
from llmops.planning.fleet.model import FleetOption, FleetPlan, Rejection
from llmops.planning.fleet.nearest import check_asked
from llmops.planning.fleet.needs import Needs
from llmops.planning.fleet.placement import Rank, place
from llmops.planning.fleet.placement import words as placement_words
from llmops.planning.fleet.plot import Bar, fleet_bars, local_bars, svg
from llmops.planning.fleet.reasons import binding, unpriced, why_later
from llmops.planning.fleet.search import cheapest, search
from llmops.planning.subject import Subject

__all__ = [
    "Bar",
    "Budget",
    "Cell",
    "Change",
    "Derivation",
    "FleetOption",
    "FleetPlan",
    "Line",
    "Needs",
    "Rank",
    "Rejection",
    "Row",
    "Subject",
    "Weighed",
    "Wish",
    "binding",
    "capability",
    "changes",
    "cheapest",
    "check_asked",
    "compare",
    "derivation_lines",
    "derivation_shown",
    "document",
    "dollars",
    "every_layout",
    "explain",
    "explain_local",
    "fleet_bars",
    "kv_per_token",
    "kv_tokens",
    "local_bars",
    "memory_lines",
    "nearest_miss",
    "needs_of",
    "of_fleet",
    "of_local",
    "only",
    "place",
    "placement_words",
    "plain_derivation",
    "prices",
    "search",
    "spare_machines",
    "spare_replicas",
    "svg",
    "unpriced",
    "why_later",
    "wished",
]
