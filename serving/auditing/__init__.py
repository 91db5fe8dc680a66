"""Audits: a live service, looked at from outside and inside, with a proof of each finding."""

from serving.auditing.asking import Caller
from serving.auditing.audit import audit, audit_here
from serving.auditing.check import Check, Report, chosen, perform, unchecked
from serving.auditing.inside import inside_checks, promises_here, tampered
from serving.auditing.keys import TemporaryKeys
from serving.auditing.meanings import MEANINGS
from serving.auditing.outside import outside_checks
from serving.auditing.records import leftover_keys, policies
from serving.auditing.routes import Route
from serving.auditing.running import holes
from serving.auditing.subject import Outside, Promises
from serving.auditing.wire import Address

__all__ = [
    "Address",
    "Caller",
    "Check",
    "MEANINGS",
    "Outside",
    "Promises",
    "Report",
    "Route",
    "TemporaryKeys",
    "audit",
    "audit_here",
    "chosen",
    "holes",
    "inside_checks",
    "leftover_keys",
    "outside_checks",
    "perform",
    "policies",
    "promises_here",
    "tampered",
    "unchecked",
]
