"""A bare-metal cluster as a stack: what its file describes, held by Pulumi beside all else."""

from infra.metal.cluster import Cluster, describe

__all__ = ["Cluster", "describe"]
