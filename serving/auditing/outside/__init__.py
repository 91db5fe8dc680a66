"""An endpoint as a stranger, or somebody with a key, could try it."""

from serving.auditing.outside.checks import outside_checks

__all__ = ["outside_checks"]
