"""What no policy can mean, though each value has the right type: values and sections compared.

Pure, and without a look at a deployment. Each finding names the value to blame and all others that
it is about. A bound that nothing can meet is refused here only where one file says it; where two
policies leave nothing, the deployment is told by `review`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from llmops.errors import InputError
from llmops.policies.findings import IDS
from llmops.policies.model import KeyLimits, MaintenancePolicy, Policy, Rule, Waiver
from llmops.policies.rules import check_rule
from llmops.spec import Finding, Written, explain, nearest
from llmops.windows import zone_name

Trail = tuple[str | int, ...]

OWN_RULE = re.compile(r"rules\.[a-z][a-z0-9-]*(\.[a-z][a-z0-9_-]*)*")
"""Id of a finding of somebody's own rule: that may stand in another policy."""

ALL_RULES = "rules.*"
"""Stands for every rule of one's own among the ids; a waiver is for one."""

NO_EXCEPTION = "waivers."
"""What findings about waivers begin with: none of them can be waived."""

LISTS: tuple[tuple[Trail, str], ...] = (
    (("applies_to", "services"), "it would be about no service"),
    (("security", "sources"), "no model could come from anywhere"),
    (("security", "licences"), "no model could be served"),
    (("security", "regions"), "no machine could be anywhere"),
    (("maintenance", "windows"), "nothing could ever be changed"),
    (("maintenance", "strategies"), "no release could follow another"),
)
"""Lists that allow nothing when they are empty, and what that would come to."""

WITHIN = (
    ("max_tokens", "tokens_per_minute"),
    ("max_tokens", "tokens_per_day"),
    ("requests_per_minute", "tokens_per_minute"),
    ("tokens_per_minute", "tokens_per_day"),
)
"""Limits of which the second can never be less than the first: it would hold in its place, and
whoever reads the first is misled. A request takes at least a token."""


def find_contradictions(policy: Policy, written: Written) -> Iterable[Finding]:
    """Everything that contradicts itself."""
    return chain(
        _nothing_allowed(policy, written),
        _about_nothing(policy),
        _limits(policy.security.limits),
        _scaling(policy),
        _maintenance(policy.maintenance, written),
        _rules(policy.rules),
        _waivers(policy.waivers),
    )


def _nothing_allowed(policy: Policy, written: Written) -> Iterator[Finding]:
    for trail, come_to in LISTS:
        section, name = trail
        if written(trail) and getattr(getattr(policy, str(section)), str(name)) == ():
            yield Finding(
                trail, f"expected at least one, found an empty list: {come_to}",
                "remove the key: then all of them are meant",
            )  # fmt: skip


def _about_nothing(policy: Policy) -> Iterator[Finding]:
    to = policy.applies_to
    if to.namespaces and to.targets and "kubernetes" not in to.targets:
        yield Finding(
            ("applies_to", "namespaces"),
            f"expected no namespaces for the target {', '.join(to.targets)}, found some",
            "remove them, or add kubernetes to applies_to.targets",
            (("applies_to", "targets"),), key=True,
        )  # fmt: skip


def _limits(limits: KeyLimits) -> Iterator[Finding]:
    for smaller, larger in WITHIN:
        low, high = getattr(limits, smaller), getattr(limits, larger)
        if low is None or high is None or low <= high:
            continue
        trail: Trail = ("security", "limits", smaller)
        other = f"security.limits.{larger}"
        yield Finding(
            trail, f"expected at most {other} ({high}), found {low}",
            f"lower this, or raise {other}", (("security", "limits", larger),),
        )  # fmt: skip


def _scaling(policy: Policy) -> Iterator[Finding]:
    scaling = policy.scaling
    if scaling.replicas and scaling.warm and scaling.warm >= scaling.replicas.high:
        yield Finding(
            ("scaling", "warm"),
            f"expected less than the most replicas ({scaling.replicas.high}), found {scaling.warm}",
            "lower this, or raise the upper bound of scaling.replicas",
            (("scaling", "replicas"),),
        )  # fmt: skip


def _maintenance(maintenance: MaintenancePolicy, written: Written) -> Iterator[Finding]:
    try:
        zone_name(maintenance.zone)
    except ValueError as error:
        yield Finding(("maintenance", "zone"), str(error), "write a name such as Europe/Berlin")
    if maintenance.except_days and not maintenance.windows:
        yield Finding(
            ("maintenance", "except_days"),
            "expected maintenance.windows beside it, found none: there is nothing to except from",
            "add maintenance.windows, or write the days as maintenance.freezes",
            (("maintenance", "windows"),), key=True,
        )  # fmt: skip
    for index, freeze in enumerate(maintenance.freezes):
        if freeze.last < freeze.first:
            trail: Trail = ("maintenance", "freezes", index, "last")
            yield Finding(
                trail, f"expected a day not before first ({freeze.first}), found {freeze.last}",
                "exchange them", (("maintenance", "freezes", index, "first"),),
            )  # fmt: skip
    days = maintenance.except_days or maintenance.freezes
    if written(("maintenance", "zone")) and not days:
        yield Finding(
            ("maintenance", "zone"),
            "expected except_days or freezes beside it, found none: a window names its own zone",
            "write it behind each window, such as 'Sun 02:00-04:00 Europe/Berlin'",
            (("maintenance", "except_days"), ("maintenance", "freezes")), key=True,
        )  # fmt: skip


def _rules(rules: Sequence[Rule]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if rule.id in seen:
            yield Finding(
                ("rules", index, "id"),
                f"expected each id once, found '{rule.id}' again (first is rules[{seen[rule.id]}])",
                "rename one of them",
            )
        seen.setdefault(rule.id, index)
        if wrong := check_rule(rule.that):
            yield Finding(
                ("rules", index, "that"),
                f"expected a CEL expression that can be evaluated, found one that cannot: {wrong}",
                "cel.dev shows the language; deployment and plan are what it can look at",
            )
        if rule.path:
            yield from _path(("rules", index, "path"), rule.path)


def _path(trail: Trail, path: str) -> Iterator[Finding]:
    try:
        explain(path)
    except InputError as error:
        yield Finding(trail, error.message, error.hint)


def _waivers(waivers: Sequence[Waiver]) -> Iterator[Finding]:
    for index, waiver in enumerate(waivers):
        trail: Trail = ("waivers", index)
        if not waiver.services:
            yield Finding(
                (*trail, "services"), "expected at least one service, found an empty list",
                "name the services that it is for, or remove the waiver",
            )  # fmt: skip
        yield from _waived(trail, waiver.rule)


def _waived(trail: Trail, rule: str) -> Iterator[Finding]:
    """What is wrong with the rule that a waiver names."""
    if rule.startswith(NO_EXCEPTION):
        yield Finding(
            (*trail, "rule"), f"expected a rule that can be waived, found '{rule}'",
            "write a waiver that holds, or remove the one that does not",
        )  # fmt: skip
    elif rule == ALL_RULES or (rule not in IDS and not OWN_RULE.fullmatch(rule)):
        near = nearest(rule, [known for known in IDS if known != ALL_RULES])
        yield Finding(
            (*trail, "rule"),
            f"expected the id of one finding, found '{rule}'",
            f"did you mean '{near}'?" if near else "a rule of your own is 'rules.' and its id",
        )
