"""Review: a deployment and its plan against the policies that apply, as findings."""

from llmops.policies.review.budget import spending
from llmops.policies.review.keys import key_age
from llmops.policies.review.review import review, review_of
from llmops.policies.review.subject import KeyAge, Known, Neighbour, Subject
from llmops.policies.review.tenants import neighbours_of

__all__ = [
    "KeyAge", "Known", "Neighbour", "Subject", "key_age", "neighbours_of", "review", "review_of",
    "spending",
]  # fmt: skip
