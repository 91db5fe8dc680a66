"""Write what is made from the models: the JSON Schema and the reference page.

`python -m llmops.spec.generate` writes both; `--check` writes nothing and fails when one differs.
For developers: it works in a checkout of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llmops.spec.generated import Generated, as_json
from llmops.spec.reference import reference_page
from llmops.spec.schema import schema

COMMAND = "python -m llmops.spec.generate"


def made() -> dict[Path, str]:
    """What each generated file has to hold, by its path below the root."""
    return {
        Path("llmops/spec/llmops.schema.json"): as_json(schema()),
        Path("docs/reference/spec.md"): reference_page(),
    }


FILES = Generated(COMMAND, made)
stale, write, main = FILES.stale, FILES.write, FILES.main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
