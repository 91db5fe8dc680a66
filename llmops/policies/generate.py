"""Write what is made from the policy's models: its JSON Schema and its reference page, and the page
of a replica's profile.

`python -m llmops.policies.generate` writes them; `--check` writes nothing and fails when one
differs. For developers: it works in a checkout of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llmops.policies.layers import WAYS
from llmops.policies.model import Policy
from llmops.policies.simulation import PROFILE
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

_PROFILE = """\
# A replica's profile: `profile.yaml`

<!-- Made from the docstrings in llmops/policies/simulation/profile_file.py. Change those, then run:
     python -m llmops.policies.generate -->

What one replica of a service can do, for `llmops policy simulate --profile profile.yaml`. Only
`kind` is required. What is left out has a round figure that belongs to no machine, so measure it:

```console
$ llmops bench chat --profile profile.yaml
```

That takes some seconds, in which nobody else should ask: where a replica comes or goes meanwhile,
nothing is written. It decodes with 1, 2, 4 requests at once and so on, up to what a replica is
given (`scaling.max_in_flight`; 16 at most) or, where the number of replicas follows the load, up to
`scaling.target_in_flight`, but 2 at least, and lays a line through the times per output token. For
a longer line measure a release with a fixed `scaling.replicas`. It reads short and long prompts,
and takes the rate from the difference of their times to the first token. The start is the one that
scaling has measured, with more weight on later ones; a service that has never added a replica can
only tell a bound, the time of the whole deploy. The rest is the plan's. A comment behind each
figure says where it is from.

Measure where and as the service runs: on a machine whose cores others use, or while another replica
starts there, a step takes longer, and the simulator knows of no such neighbour.

```yaml
kind: ReplicaProfile
slots: 128
prefill_tokens_per_second: 29000
step_seconds: 0.0042
step_seconds_per_request: 0.0011
chunk_tokens: 2048
startup: 31s
```
"""


def made() -> dict[Path, str]:
    """What each generated file has to hold, by its path below the root."""
    return {
        Path("llmops/policies/policy.schema.json"): as_json(schema_of(Policy, "policy.yaml")),
        Path("docs/reference/policy.md"): page_of(Policy, _HEAD + _layers() + _REST, "The policy"),
        Path("docs/reference/profile.md"): page_of(PROFILE.model, _PROFILE, "The profile"),
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
