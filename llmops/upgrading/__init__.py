"""Upgrades: what another version of the engine, Ray or llmops changes, and the way to it."""

from llmops.upgrading.comparing import compare
from llmops.upgrading.flow import Halt, upgrade
from llmops.upgrading.formats import histories, readable
from llmops.upgrading.model import (
    Change,
    Readable,
    ServiceChange,
    Upgrade,
    Versions,
    rollback_words,
    upgrade_document,
    versions_of,
    wished,
)

__all__ = [
    "Change",
    "Halt",
    "Readable",
    "ServiceChange",
    "Upgrade",
    "Versions",
    "compare",
    "histories",
    "readable",
    "rollback_words",
    "upgrade",
    "upgrade_document",
    "versions_of",
    "wished",
]
