"""Write what is made from the cluster file's models: its JSON Schema and its reference page.

`python -m bare_metal.inventory.generate` writes both; `--check` writes nothing and fails when one
differs. For developers: it works in a checkout of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bare_metal.inventory.model import Cluster
from llmops.spec import Generated, as_json, page_of, schema_of

COMMAND = "python -m bare_metal.inventory.generate"

_HEAD = """\
# The cluster file: `cluster.yaml`

<!-- Made from the docstrings in bare_metal/inventory/model.py. Change those, then run:
     python -m bare_metal.inventory.generate -->

A cluster file says which hosts there are and how their fabric is built, of InfiniBand switches or
of Ethernet's ([RoCE](../bare-metal-roce.md)). `llmops cluster fabric` makes the cable plan from it,
writes that for people, simulators and schedulers, draws it, and holds the real fabric against it:
see [the guide](../bare-metal.md). Only `kind`, `name` and `units` are required. It is spelled as a
[spec](spec.md) is.

```yaml
kind: Cluster
name: alpha
fabric: {link: 4xNDR, radix: 64}
units: [{name: su, count: 2, hosts: 32}]
hosts: [{unit: su2, slot: 32, name: login-1, rack: r99}]
```
"""


def made() -> dict[Path, str]:
    """What each generated file has to hold, by its path below the root."""
    return {
        Path("bare_metal/inventory/cluster.schema.json"): as_json(
            schema_of(Cluster, "cluster.yaml")
        ),
        Path("docs/reference/cluster.md"): page_of(Cluster, _HEAD, "The cluster file"),
    }


FILES = Generated(COMMAND, made)
stale, write, main = FILES.stale, FILES.write, FILES.main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
