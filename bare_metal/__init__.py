"""Clusters of machines that somebody owns, joined by InfiniBand.

`inventory` reads what there is, `fabric` makes the cable plan from it and holds the real fabric
against the plan, `hosts` looks at hosts and prepares them, `health` says which are fit, `placing`
which of them serve, `maintaining` what a part takes with it. `target` is the target `bare_metal`.
"""
