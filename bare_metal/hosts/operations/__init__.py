"""What prepares hosts: facts in, commands out, and nothing where nothing is to do."""

from bare_metal.hosts.operations.agent import ACCOUNT, TOKEN, serves
from bare_metal.hosts.operations.applying import Done, Failed, Outcome, apply
from bare_metal.hosts.operations.guard import refused
from bare_metal.hosts.operations.maintenance import maintained
from bare_metal.hosts.operations.model import Change, Desired, Kept, Payload, Refusal
from bare_metal.hosts.operations.payload import payload_of
from bare_metal.hosts.operations.planning import OPERATIONS, HostPlan, desired, plan
from bare_metal.hosts.operations.telling import named, plan_data, preview
from bare_metal.hosts.operations.wanted import AT_ONCE, AgentUnwanted, AgentWanted, Role

__all__ = [
    "ACCOUNT",
    "AT_ONCE",
    "AgentUnwanted",
    "AgentWanted",
    "Change",
    "Desired",
    "Done",
    "Failed",
    "HostPlan",
    "Kept",
    "OPERATIONS",
    "Outcome",
    "Payload",
    "Refusal",
    "Role",
    "TOKEN",
    "apply",
    "desired",
    "maintained",
    "named",
    "payload_of",
    "plan",
    "plan_data",
    "preview",
    "refused",
    "serves",
]
