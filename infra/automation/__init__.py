"""Stacks behind a port of ours: what is made in a cloud, followed event by event.

Only `open_engine` needs Pulumi, and imports it when it is called.
"""

from infra.automation.failures import Cause, Failure, StackFailed
from infra.automation.locks import Locked
from infra.automation.model import (
    Counted,
    Holder,
    Operation,
    Outputs,
    Pending,
    ResourceEvent,
    StackChange,
    StackEvent,
    StackFlow,
    StackState,
    Told,
    Unread,
    Update,
    Waiting,
)
from infra.automation.opening import open_backend, open_engine
from infra.automation.port import Backend, StackEngine, StackReader
from infra.automation.recovery import bring_up, take_down
from infra.automation.secrecy import Cleaner

__all__ = [
    "Backend", "Cause", "Cleaner", "Counted", "Failure", "Holder", "Locked", "Operation",
    "Outputs", "Pending", "ResourceEvent", "StackChange", "StackEngine", "StackEvent",
    "StackFailed", "StackFlow", "StackReader", "StackState", "Told", "Unread", "Update",
    "Waiting", "bring_up", "open_backend", "open_engine", "take_down",
]  # fmt: skip
