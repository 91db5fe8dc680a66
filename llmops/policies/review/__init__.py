"""Review: a deployment and its plan against the policies that apply, as findings."""

from llmops.policies.review.keys import key_age
from llmops.policies.review.review import review, review_of
from llmops.policies.review.subject import KeyAge, Known, Subject

__all__ = ["KeyAge", "Known", "Subject", "key_age", "review", "review_of"]
