"""Write what is made from the policy's models: its JSON Schema and its reference page.

`python -m llmops.policies.generate` writes both; `--check` writes nothing and fails when one
differs. For developers: it works in a checkout of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llmops.policies.layers import WAYS
from llmops.policies.model import Policy
from llmops.spec import Generated, as_json, page_of, schema_of

COMMAND = "python -m llmops.policies.generate"

_HEAD = """\
# The policy: `policy.yaml`

<!-- Made from the docstrings in llmops/policies/model.py and the table in
     llmops/policies/layers.py. Change those, then run: python -m llmops.policies.generate -->

A policy bounds what services may ask for. Only `kind` and `name` are required; a field that is
left out bounds nothing. `llmops policy check` reads one and holds specs against it, `llmops policy
apply` stores it in a target, whose every later deploy is checked by it, and `llmops policy explain
FIELD` says what holds and who decided. It is spelled as a [spec](spec.md) is; days stand in quotes.

```yaml
kind: Policy
name: acme
security:
  sources: ['hf://HuggingFaceTB/*', 'pkg://*']
  pinned: true
  limits: {requests_per_minute: 120}
maintenance:
  windows: ['Sun 02:00-04:00 Europe/Berlin']
  freezes: [{first: '2026-12-20', last: '2027-01-02', reason: end of the year}]
```

**Layers.** All policies that apply to a service hold together, whosever they are, and in each field
the strictest value does:
"""

_REST = """
Calendars (`maintenance.windows` and what belongs to them), `rules` and `waivers` are not combined:
each policy's own holds by itself, so a change must lie in a window of every policy that has some.

**Defaults.** Where a spec leaves out what a policy bounds, the policy's value is set, and a plan
shows it. What a spec says and a policy does not allow is refused, with the line and what to do.
"""


def made() -> dict[Path, str]:
    """What each generated file has to hold, by its path below the root."""
    return {
        Path("llmops/policies/policy.schema.json"): as_json(schema_of(Policy, "policy.yaml")),
        Path("docs/reference/policy.md"): page_of(Policy, _HEAD + _layers() + _REST, "The policy"),
    }


def _layers() -> str:
    """How each field combines, as a table."""
    by_words: dict[str, list[str]] = {}
    for path, way in WAYS.items():
        by_words.setdefault(way.words, []).append(f"`{path}`")
    rows = [f"| {', '.join(paths)} | {words} |" for words, paths in by_words.items()]
    return "\n".join(["", "| fields | of several values |", "|---|---|", *rows, ""])


FILES = Generated(COMMAND, made)
stale, write, main = FILES.stale, FILES.write, FILES.main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
