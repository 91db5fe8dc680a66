"""Replays a trace against a scaling policy before it is applied, beside others and the optimum."""

from llmops.policies.simulation.asked import (
    USUAL_TTFT,
    price_of,
    replica_of,
    rules_for,
    settings_for,
)
from llmops.policies.simulation.baseline import RayDefault, RaySettings
from llmops.policies.simulation.figures import Figures, figures
from llmops.policies.simulation.generate import Load, Shape, generate
from llmops.policies.simulation.measured import Pace, Rates, Reading, profile_text, rates
from llmops.policies.simulation.optimum import Bounds, lower_bound, schedule
from llmops.policies.simulation.planned import planned_replica
from llmops.policies.simulation.plot import svg
from llmops.policies.simulation.profile import USUAL, Profile
from llmops.policies.simulation.profile_file import PROFILE, read_profile
from llmops.policies.simulation.report import document
from llmops.policies.simulation.scalers import fixed, ours, planned
from llmops.policies.simulation.simulator import Rules, Scaler, meets, replay
from llmops.policies.simulation.study import (
    FIXED,
    OPTIMUM,
    OURS,
    RAY,
    TUNED,
    Row,
    Study,
    rules_of,
    simulate,
    study,
)
from llmops.policies.simulation.timeline import Fate, Moment, Timeline
from llmops.policies.simulation.trace import MOST_BYTES, Request, Trace, made, parse_trace, written
from llmops.policies.simulation.validation import Differences, Observed, Tolerance, compare

__all__ = [
    "Bounds",
    "Differences",
    "FIXED",
    "Fate",
    "Figures",
    "Load",
    "MOST_BYTES",
    "Moment",
    "OPTIMUM",
    "OURS",
    "Observed",
    "PROFILE",
    "Pace",
    "Profile",
    "RAY",
    "Rates",
    "RayDefault",
    "RaySettings",
    "Reading",
    "Request",
    "Row",
    "Rules",
    "Scaler",
    "Shape",
    "Study",
    "TUNED",
    "Timeline",
    "Tolerance",
    "Trace",
    "USUAL",
    "USUAL_TTFT",
    "compare",
    "document",
    "figures",
    "fixed",
    "generate",
    "lower_bound",
    "made",
    "meets",
    "ours",
    "parse_trace",
    "planned",
    "planned_replica",
    "price_of",
    "profile_text",
    "rates",
    "read_profile",
    "replay",
    "replica_of",
    "rules_for",
    "rules_of",
    "schedule",
    "settings_for",
    "simulate",
    "study",
    "svg",
    "written",
]
