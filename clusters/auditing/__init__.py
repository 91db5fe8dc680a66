"""An audit of a service on a cluster: its objects, its pods, and what others put around them."""

from clusters.auditing.there import audit_there

__all__ = ["audit_there"]
