"""Writes the trees of all cases anew: `python -m tests.clusters.objects.trees`.

Look at the difference before it is committed: it is what every user's cluster will be sent.
"""

from __future__ import annotations

from clusters.written import write_tree
from tests.clusters.objects import states


def main() -> None:
    """Write the tree of every case."""
    for name in states.names():
        write_tree(states.tree_of(name), states.CASES / name / "tree")


if __name__ == "__main__":
    main()
