"""The target `kubernetes`: a service on a cluster, by KubeRay."""

from clusters.auditing import audit_there
from clusters.draining import DrainPlan, drain, plan_drain, refuse_short
from clusters.drift import Drift, FieldDrift
from clusters.nodes import Nodes, NodeView
from clusters.target import ClusterTarget
from clusters.written import write_tree

__all__ = [
    "ClusterTarget",
    "DrainPlan",
    "Drift",
    "FieldDrift",
    "NodeView",
    "Nodes",
    "audit_there",
    "drain",
    "plan_drain",
    "refuse_short",
    "write_tree",
]
