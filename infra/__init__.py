"""Machines of a cloud for a service: the stack, the target, and what is left over of either.

Pulumi's SDK is imported only when a program runs or an engine is asked.
"""

from infra.account import Check, Cost, Leftover
from infra.naming import PROJECT, stack_name
from infra.overseeing import Found, checks_in, costs_in, find, take_away
from infra.program import program
from infra.target import AwsTarget

__all__ = [
    "AwsTarget", "Check", "Cost", "Found", "Leftover", "PROJECT", "checks_in", "costs_in", "find",
    "program", "stack_name", "take_away",
]  # fmt: skip
