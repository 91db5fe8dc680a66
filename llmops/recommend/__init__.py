"""Which architecture and which open model for a task: ranked, with reasons and what changes it."""

from llmops.recommend.document import recommendation_document
from llmops.recommend.prices import cheapest
from llmops.recommend.recommendation import Change, Option, PassedOver, Reason, Recommendation
from llmops.recommend.request import Gpu, Request
from llmops.recommend.search import recommend

__all__ = [
    "Change",
    "Gpu",
    "Option",
    "PassedOver",
    "Reason",
    "Recommendation",
    "Request",
    "cheapest",
    "recommend",
    "recommendation_document",
]
