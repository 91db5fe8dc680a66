"""llmops: one file says what to serve and where; `llmops deploy` makes it so and proves it."""

__version__ = "0.1.0"

__all__ = ["__version__"]
