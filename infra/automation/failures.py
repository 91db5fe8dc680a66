"""What the cloud said when a resource failed, sorted by what can be done about it.

Pure. The kinds are few, because only these lead to different next steps; the words are the error
codes of the EC2 API (its reference, "Error codes for the Amazon EC2 API"), which the provider
passes on inside its own sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from llmops.errors import TargetError


class Cause(StrEnum):
    """Why a resource failed."""

    CAPACITY = "capacity"
    """The cloud has no such machine now: another offer may do."""
    QUOTA = "quota"
    """This account may not have so many: another offer may do, or a higher quota."""
    SPOT = "spot"
    """Nothing at this spot price now: another offer may do."""
    DENIED = "denied"
    """These credentials may not."""
    CREDENTIALS = "credentials"
    """These credentials are not, or no longer, valid."""
    PROTECTED = "protected"
    """It holds data and is kept on purpose."""
    OTHER = "other"


CODES: tuple[tuple[Cause, str], ...] = (
    (Cause.SPOT, r"SpotMaxPriceTooLow|MaxSpotInstanceCountExceeded|SpotInstanceCountExceeded"),
    (Cause.CAPACITY, r"Insufficient\w*Capacity|ReservationCapacityExceeded|\bUnsupported: .*zone"),
    (Cause.QUOTA, r"VcpuLimitExceeded|\w+LimitExceeded|ServiceQuotaExceeded\w*"),
    (Cause.CREDENTIALS, r"ExpiredToken\w*|InvalidClientTokenId|AuthFailure|RequestExpired"),
    (Cause.DENIED, r"UnauthorizedOperation|AccessDenied\w*|not authorized to perform"),
    (Cause.PROTECTED, r"\bprotected\b|marked for protection|OperationNotPermitted.*terminat"),
)
"""The first that is found decides; spot is before quota because its words contain those of it."""

ELSEWHERE = frozenset({Cause.CAPACITY, Cause.QUOTA, Cause.SPOT})
"""Causes for which the next offer of a plan may do."""

HINTS: dict[Cause, str] = {
    Cause.CAPACITY: "deploy again later, or allow another machine or region in target:",
    Cause.QUOTA: "ask for more in Service Quotas, or allow another machine in target:",
    Cause.SPOT: "say market: on_demand in target:, or deploy again later",
    Cause.DENIED: "compare the permissions with the policy file in docs/aws.md",
    Cause.CREDENTIALS: "sign in again; llmops doctor shows who you are",
    Cause.PROTECTED: "what holds data is kept on purpose: docs/aws.md says how to let it go",
    Cause.OTHER: "deploy again: it goes on from here",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One resource that failed, and what was said."""

    name: str
    cause: Cause
    text: str


class StackFailed(TargetError):
    """An update did not end well; what was made before the failure is recorded and stays."""

    def __init__(self, stack: str, failures: tuple[Failure, ...], *, serving: bool = False) -> None:
        said = "; ".join(f"{one.name}: {one.text}" for one in failures) or "no reason was given"
        causes = {one.cause for one in failures} or {Cause.OTHER}
        worst = next(cause for cause in Cause if cause in causes)
        message = f"the stack {stack} is not as it should be: {said}"
        super().__init__(message, hint=HINTS[worst], serving=serving)
        self.stack, self.failures = stack, failures

    @property
    def another_offer_may_do(self) -> bool:
        """Whether everything that failed did so for want of machines.

        The engine stops what depends on them, and says so of each: that alone decides nothing.
        """
        causes = {one.cause for one in self.failures}
        return bool(causes & ELSEWHERE) and causes <= ELSEWHERE


def cause_of(text: str) -> Cause:
    """Why, from the words of the cloud."""
    return next((cause for cause, words in CODES if re.search(words, text)), Cause.OTHER)


def failures(errors: Iterable[tuple[str, str]]) -> tuple[Failure, ...]:
    """From resource names and the sentences about them, each said once.

    The engine's closing sentence ("update failed") says nothing beside a real reason.
    """
    real = [(name, text) for name, text in errors if text and text != "update failed"]
    found = {name: Failure(name, cause_of(text), text) for name, text in reversed(real)}
    return tuple(found[name] for name in dict.fromkeys(name for name, _ in real))


__all__ = ["Cause", "ELSEWHERE", "Failure", "StackFailed", "cause_of", "failures"]
