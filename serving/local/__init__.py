"""The target `local`: services on this machine."""

from serving.local.target import LocalTarget

__all__ = ["LocalTarget"]
