"""The target `kubernetes`: a service on a cluster, by KubeRay."""

from clusters.drift import Drift, FieldDrift
from clusters.target import ClusterTarget
from clusters.written import write_tree

__all__ = ["ClusterTarget", "Drift", "FieldDrift", "write_tree"]
