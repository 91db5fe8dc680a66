"""What differs between two versions of a policy, field by field, and which way it goes.

Rules are told apart by their ids and waivers by what they are for, so that a new one at the top of
a list is one change and not a change of all below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.policies.layers import WAYS
from llmops.policies.model import Policy
from llmops.policies.plain import at, plain

STRICTER, LOOSER = "stricter", "looser"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that says something else; None where it says nothing."""

    path: str
    before: Any
    after: Any
    way: str
    """`stricter` or `looser`; empty where neither can be said."""


def differences(before: Policy | None, after: Policy | None) -> tuple[Difference, ...]:
    """What differs, in the order of the fields. None is a policy that bounds nothing."""
    old, new = _flat(before), _flat(after)
    return tuple(
        Difference(path, old.get(path), new.get(path), _way(path, before, after))
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    )


def _way(path: str, before: Policy | None, after: Policy | None) -> str:
    """Which way a change of a field goes, where one of the two values wins over the other."""
    way = WAYS.get(path)
    if way is None:
        return ""
    old = at(before, path) if before else None
    new = at(after, path) if after else None
    if not _says(old) or not _says(new):
        return STRICTER if _says(new) else LOOSER
    wins = way.combined([old, new])
    return STRICTER if wins == new else LOOSER if wins == old else ""


def _says(value: Any) -> bool:
    return value is not None and value != ()


def _flat(policy: Policy | None) -> dict[str, Any]:
    """What a policy says, by path, as plain data; without what it leaves as it is by default."""
    if policy is None:
        return {}
    said = policy.model_dump(exclude_defaults=True, exclude={"rules", "waivers", "kind", "name"})
    flat = dict(_leaves(said, ""))
    flat |= {f"rules.{rule.id}": plain(rule) for rule in policy.rules}
    for waiver in policy.waivers:
        flat[f"waivers.{waiver.rule} of {', '.join(waiver.services)}"] = plain(waiver)
    return flat


def _leaves(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{above}.{name}" if above else name
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        else:
            yield path, plain(value)
