"""The client: what speaks to an endpoint, to chat with it and to load it."""

from serving.client.asking import Asked, AskFailed, ask, shared_client
from serving.client.endpoint import Chat, Endpoint
from serving.client.figures import Figures, Sample, Spread, figures_document, spread_document
from serving.client.line import Line
from serving.client.load import bench
from serving.client.measuring import Measured, Replica, measure
from serving.client.probe import TOKENS, Answer, Probe, count_tokens, find_problem

__all__ = [
    "Answer",
    "AskFailed",
    "Asked",
    "Chat",
    "Endpoint",
    "Figures",
    "Line",
    "Measured",
    "Probe",
    "Replica",
    "Sample",
    "Spread",
    "TOKENS",
    "ask",
    "bench",
    "count_tokens",
    "figures_document",
    "find_problem",
    "measure",
    "shared_client",
    "spread_document",
]
