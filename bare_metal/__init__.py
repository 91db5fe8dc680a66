"""Clusters of machines that somebody owns, joined by InfiniBand.

`inventory` reads what there is, `fabric` makes the cable plan from it and holds the real fabric
against the plan.
"""
