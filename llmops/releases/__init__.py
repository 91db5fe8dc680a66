"""Releases: what was applied, what is observed, and what to do next."""

from llmops.releases.model import *  # noqa: F403
