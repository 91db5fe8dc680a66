"""What a review says: findings, the ids that they have, and the error that blocking ones become.

A finding names what is wrong, where, what was found there and what to do. It is data: who prints
it decides how. No finding carries a secret; whoever makes one leaves values out that may be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from llmops.errors import RefusedError
from llmops.policies.model import Layer, Waiver


class Severity(StrEnum):
    """What a finding does to a deploy."""

    BLOCK = "block"
    """It is refused."""
    WARN = "warn"
    """It is told, and goes on."""
    INFO = "info"
    """Something to know."""


ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a policy, or the review itself, has to say about a deployment."""

    id: str
    """Such as `security.pinned`: the policy's field where one decided; `rules.` and its name for a
    rule of one's own."""
    severity: Severity
    path: str
    """Dotted field of the spec, as it would be written; empty when it is about none."""
    message: str
    """What is wrong."""
    proof: str = ""
    """What was found: the value, or the arithmetic. Never a secret."""
    fix: str = ""
    """What to do."""
    policy: str = ""
    """Name of the policy that decided; empty where no policy is needed."""
    layer: Layer | None = None
    """Layer of that policy."""
    waiver: Waiver | None = None
    """What set it aside."""

    @property
    def blocks(self) -> bool:
        """Whether a deploy is refused because of it."""
        return self.severity is Severity.BLOCK and self.waiver is None


IDS: Mapping[str, str] = {
    "security.sources": "A model comes from a place that the policy does not name.",
    "security.licences": "A model's licence is not one that the policy names, or is not known.",
    "security.pinned": "A model of the hub is not pinned to a full commit hash.",
    "security.images.allowed": "An image comes from a place that the policy does not name.",
    "security.images.digest": "An image is named by a tag, which can be moved.",
    "security.remote_code": "An argument of the engine could run code that comes with a model.",
    "security.known_holes": "What would run has a known security hole.",
    "security.holes-table": "The table of known holes is old.",
    "security.tls": "An endpoint that others can reach does not speak TLS.",
    "security.exposure": "An endpoint can be reached from further away than the policy allows.",
    "security.regions": "It would run in a place that the policy does not name.",
    "security.encryption": "Something is kept without encryption where it could have been.",
    "security.key_age": "An API key is older than the policy allows.",
    "security.tenants": "A runtime would be shared with another service.",
    "security.secret-in-clear": "Something that looks like a secret is written in the spec.",
    "security.limits.requests_per_minute": "A key may start more requests than allowed.",
    "security.limits.tokens_per_minute": "A key may use more tokens in a minute than allowed.",
    "security.limits.concurrent_requests": "A key may have more requests in flight than allowed.",
    "security.limits.max_tokens": "A request may generate more tokens than allowed.",
    "security.limits.tokens_per_day": "A key may use more tokens in a day than allowed.",
    "security.limits.usd_per_month": "A key may spend more in a month than allowed.",
    "scaling.replicas": "There may be fewer or more replicas than allowed.",
    "scaling.scale_to_zero": "A service may have no replica, and the policy wants one at least.",
    "scaling.warm": "Fewer replicas are kept warm than the policy wants.",
    "scaling.objective.ttft": "The first token may take longer than the policy's objective.",
    "scaling.objective.tpot": "A token may take longer than the policy's objective.",
    "maintenance.strategies": "Releases follow one another in a way that is not allowed.",
    "maintenance.drain": "A replaced release is given less time to finish than it must be.",
    "maintenance.keep_releases": "Fewer ended releases are kept than must be.",
    "maintenance.window": "A change outside of the windows for changes.",
    "maintenance.freeze": "A change on a day without changes.",
    "budget.usd_per_hour": "It costs more than the policy allows.",
    "budget.price-unknown": "What it costs is not known, so the budget was not checked.",
    "rules.*": "A rule of one's own is not kept, could not be checked, or is broken.",
    "target.replaces-serving": "What serves now would be made anew, and goes down for it.",
    "records.asked": "A record does not say what was asked for, so no policy could be checked.",
    "waivers.expired": "A waiver has ended; it sets nothing aside any more.",
    "waivers.expiring": "A waiver ends soon.",
    "waivers.unused": "A waiver sets nothing aside.",
}
"""Every id that a review gives, with what it means. `rules.*` stands for all rules of one's own."""


def meaning(identifier: str) -> str:
    """What an id means, in a sentence."""
    return IDS.get(identifier, IDS["rules.*"])


def blocking(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those because of which a deploy is refused."""
    return tuple(finding for finding in findings if finding.blocks)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The blocking ones first, then by severity, id and place; the waived ones last."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (
                f.waiver is not None,
                ORDER.index(f.severity),
                f.id,
                f.path,
                f.message,
                f.policy,
            ),
        )
    )


def document(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings as plain data; empty fields are left out."""
    return [_plain(finding) for finding in findings]


def _plain(finding: Finding) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": finding.id,
        "severity": str(finding.severity),
        "blocks": finding.blocks,
        "path": finding.path,
        "message": finding.message,
        "proof": finding.proof,
        "fix": finding.fix,
        "policy": finding.policy,
        "layer": str(finding.layer) if finding.layer else "",
        "waiver": finding.waiver.model_dump(mode="json") if finding.waiver else "",
    }
    return {key: value for key, value in made.items() if value != ""}


class PolicyError(RefusedError):
    """A policy says no: at least one finding blocks. `findings` are all of the review; `way` is
    what else there is to do than mend the first of them."""

    def __init__(self, findings: Sequence[Finding], way: str = "") -> None:
        self.findings = tuple(findings)
        first, *more = blocking(ordered(findings))
        by = f" ({first.policy})" if first.policy else ""
        rest = f"; {len(more)} more block" + ("s" if len(more) == 1 else "") if more else ""
        super().__init__(
            f"{first.id}{by}: {first.message}{rest}",
            hint="; ".join(told for told in (first.fix, way) if told),
            path=first.path,
        )
