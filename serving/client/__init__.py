"""The client: what speaks to an endpoint, to chat with it and to load it."""

from serving.client.endpoint import Chat, Endpoint
from serving.client.figures import Figures, Spread, figures_document
from serving.client.load import bench

__all__ = ["Chat", "Endpoint", "Figures", "Spread", "bench", "figures_document"]
