"""This machine's runtime and its files, looked at from inside."""

from serving.auditing.inside.checks import inside_checks, promises_here

__all__ = ["inside_checks", "promises_here"]
