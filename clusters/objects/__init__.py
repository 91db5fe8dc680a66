"""The objects of a service, as the API's JSON: pure, and made from typed values."""

from clusters.objects.trees import KINDS, RANKS, surroundings, tree

__all__ = ["KINDS", "RANKS", "surroundings", "tree"]
