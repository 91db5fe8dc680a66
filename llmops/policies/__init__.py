"""Policies: a platform team's rules as files, checked at every plan and kept in the target."""

from llmops.policies.calendar import FREEZE, TIMELY, WINDOW, Calendar, Closed, calendar_of
from llmops.policies.cases import (
    CASE,
    Case,
    Outcome,
    case_files,
    deployment_of,
    findings_of,
    judged,
    read_case,
)
from llmops.policies.difference import Difference, differences
from llmops.policies.document import POLICY, parse_policy, read_policies, read_policy
from llmops.policies.explaining import Explained, Voice, explained
from llmops.policies.findings import IDS, Finding, PolicyError, Severity, blocking, meaning, ordered
from llmops.policies.findings import document as findings_document
from llmops.policies.govern import FIELDS, Setting, govern, settings, written
from llmops.policies.holes import Hole, Holes, known_holes
from llmops.policies.layers import APART, WAYS, Decided, Effective, Said, combined, effective
from llmops.policies.model import Layer, Policy, Rule, Waiver
from llmops.policies.patterns import matches
from llmops.policies.plain import plain
from llmops.policies.review import (
    KeyAge,
    Known,
    Neighbour,
    key_age,
    neighbours_of,
    review,
    spending,
)
from llmops.policies.rules import check_rule
from llmops.policies.sarif import to_sarif
from llmops.policies.store import Applied, PolicyStore, Shelf, dumps, loads
from llmops.policies.waivers import is_waived

__all__ = [
    "APART",
    "Applied",
    "CASE",
    "Calendar",
    "Case",
    "Closed",
    "Decided",
    "Difference",
    "Effective",
    "Explained",
    "FIELDS",
    "FREEZE",
    "Finding",
    "Hole",
    "Holes",
    "IDS",
    "KeyAge",
    "Known",
    "Layer",
    "Neighbour",
    "Outcome",
    "POLICY",
    "Policy",
    "PolicyError",
    "PolicyStore",
    "Rule",
    "Said",
    "Setting",
    "Severity",
    "Shelf",
    "TIMELY",
    "Voice",
    "WAYS",
    "WINDOW",
    "Waiver",
    "blocking",
    "calendar_of",
    "case_files",
    "check_rule",
    "combined",
    "deployment_of",
    "differences",
    "dumps",
    "effective",
    "explained",
    "findings_document",
    "findings_of",
    "govern",
    "judged",
    "key_age",
    "is_waived",
    "known_holes",
    "loads",
    "matches",
    "meaning",
    "neighbours_of",
    "ordered",
    "parse_policy",
    "plain",
    "read_case",
    "read_policies",
    "read_policy",
    "review",
    "settings",
    "spending",
    "to_sarif",
    "written",
]
