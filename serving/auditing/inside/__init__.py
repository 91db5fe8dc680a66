"""This machine's runtime and its files, looked at from inside."""

from serving.auditing.inside.checks import counts_here, inside_checks, promises_here
from serving.auditing.inside.log import tampered

__all__ = ["counts_here", "inside_checks", "promises_here", "tampered"]
