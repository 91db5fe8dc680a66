"""Limits of API keys: exact accounts of requests, tokens and money, and who keeps them."""

from serving.gateway.limiter.book import Book, Open
from serving.gateway.limiter.headers import duration, rate_limit_headers
from serving.gateway.limiter.limiter import Limiter, LimiterGone, LocalLimiter
from serving.gateway.limiter.recording import RecordedLimiter
from serving.gateway.limiter.saved import Saved, counted
from serving.gateway.limiter.values import PICO, Ask, Bounds, Denied, Left, Reason, Standing, Tokens

__all__ = [
    "Ask",
    "Book",
    "Bounds",
    "Denied",
    "Left",
    "Limiter",
    "LimiterGone",
    "LocalLimiter",
    "Open",
    "PICO",
    "Reason",
    "RecordedLimiter",
    "Saved",
    "Standing",
    "Tokens",
    "counted",
    "duration",
    "rate_limit_headers",
]
