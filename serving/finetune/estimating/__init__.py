"""Estimates: a scaling law fitted to finished runs, and what more would buy."""

from serving.finetune.estimating.fitting import Estimate, estimate
from serving.finetune.estimating.points import points_of_file, points_of_runs

__all__ = ["Estimate", "estimate", "points_of_file", "points_of_runs"]
