"""A whole process that applies the objects of a file: `python -m benchmarks.apply_file LIST.json`.

What `kubectl apply --server-side --filename=LIST.json` is to kubectl, this is to llmops' client.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Apply them as the current context of the kubeconfig."""
    from clusters.apply import apply_all
    from clusters.client import Client

    apply_all(Client.open(), json.loads(Path(sys.argv[1]).read_text())["items"])


if __name__ == "__main__":
    main()
