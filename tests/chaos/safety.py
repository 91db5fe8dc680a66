"""Write the page that says what the door's defences hold, and which test fails without each.

`python -m tests.chaos.safety` writes it; `--check` writes nothing and fails when it differs. For
developers: it works in a checkout of the repository. The tests that it names are what shows it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

from llmops.spec import Generated
from serving.gateway import Defences
from tests.chaos.door import DEADLINES
from tests.chaos.judging import GROWTH, NEIGHBOURLY
from tests.chaos.mutations import MUTATIONS
from tests.chaos.recorded import CASES, MOST_EFFORT, MOST_MEMORY
from tests.chaos.test_door_long import INPUTS
from tests.gateway.test_defences import PROBES
from tests.releases.test_convergence_long import POINTS

COMMAND = "python -m tests.chaos.safety"

_PAGE = """\
# Under fire: what holds, and how it is seen to

<!-- Made from tests/chaos and tests/gateway/test_defences.py. Change those, then run:
     {command} -->

[The security model](security.md) says what is defended. This page says which defences of the door
are known to be needed: with each switched off, its test fails. Nothing here starts Ray or vLLM:
behind the door stands a fake engine that answers as vLLM would and validates nothing.

## The door

`make test-long` throws {inputs:,} odd inputs at the gateway, in a process of its own behind its
real HTTP server: bodies, heads, and what HTTP clients refuse to send. `make test-core` throws some
hundreds, and {cases} recorded ones (`tests/chaos/cases/door.yaml`), those that were once found
among them. Of all:

- No answer is a 5xx or holds a traceback or a key; each is a success, or an error in OpenAI's
  shape; each has a request id.
- The process stays the same. It holds at most {growth} MiB more than before, for ten inputs at a
  time of up to 1 MiB each; a recorded input takes at most {memory} MiB and {effort:g} s of the
  processor.
- Another user's plain request is answered within {neighbour:g} s of the door's processor, which is
  {neighbour:g} s by the clock where nothing else runs.
- The log says nothing of what was sent; the audit holds no key and no prompt.

Clients that are slow meet deadlines of {head:g} s (head and body) and {stall:g} s (reading on)
there, so that tests need not wait for the real ones.

## The defences, each switched off

By their names in `serving/gateway/defences.py`; shown by `tests/gateway/test_defences.py` in `make
test-core`:

| Defence | Holds | Fails when off |
|---|---|---|
{switched}

By a patch in the test's own process (`tests/chaos/mutations.py`); shown by
`tests/chaos/test_mutations.py` in `make test-long`:

| Defence | Holds | Where | Fails when off |
|---|---|---|---|
{patched}

## Releases

`tests/releases/test_convergence.py` strikes at every instant of every verb on a simulated target:
killed, interrupted, rebooted, the engine dead; Hypothesis adds writes of the record that another
beats, and looks that show what was there before. `make test-long` draws at least {points:,} deaths,
over updates by each strategy, adapters in one engine, promotions, rollbacks and destroys, and
counts them where they strike. The promises are judged at every instant, and the next run converges.
With a piece of the reconciler or of the record taken out these properties fail, in the same file.

A destroy whose look shows what was there before can leave something that the next destroy or deploy
removes; that was found here, and is as it was.

## What has no instrument yet

- Requests and streams by the thousand over upgrades and rollbacks on real engines, and hundreds of
  kills at random tokens. `tests/e2e/test_6_kills.py` kills commands and runtimes a few times.
- A history of all requests that is held against a model: no answer of an old release after the
  switch, no stream of two.
- The door over TLS: what is thrown goes over plain HTTP, behind which the same server stands.
- More connections than the process may open: nothing bounds their number, only how long each may
  idle.
- Defences outside of the door, such as those of the runtime, of models and of Kubernetes, switched
  off one by one, but where their own tests do so.
- The same tests run hundreds of times without one failure.
"""


def _switched() -> str:
    words = _docstrings()
    probes: dict[str, list[str]] = {}
    for name, probe in PROBES:
        probes.setdefault(name, []).append(f"`{probe.__name__}`")
    return "\n".join(f"| `{name}` | {words[name]} | {', '.join(p)} |" for name, p in probes.items())


def _docstrings() -> dict[str, str]:
    """What stands below each field of `Defences`, on one line."""
    [found] = ast.parse(inspect.getsource(Defences)).body
    assert isinstance(found, ast.ClassDef)
    return {
        field.target.id: " ".join(doc.value.value.split())
        for field, doc in zip(found.body, found.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
        if isinstance(doc.value.value, str)
    }


def _patched() -> str:
    return "\n".join(
        f"| `{m.name}` | {m.holds} | `serving/gateway/{m.where}` |"
        f" {m.case or 'a client that reads nothing'} |"
        for m in MUTATIONS.values()
    )


def made() -> dict[Path, str]:
    """What the page has to hold, by its path below the root."""
    text = _PAGE.format(
        command=COMMAND,
        inputs=sum(INPUTS.values()),
        cases=len(CASES),
        growth=GROWTH >> 20,
        memory=MOST_MEMORY >> 20,
        effort=MOST_EFFORT,
        neighbour=NEIGHBOURLY,
        head=DEADLINES[0],
        stall=DEADLINES[2],
        switched=_switched(),
        patched=_patched(),
        points=POINTS,
    )
    return {Path("docs/safety.md"): text}


FILES = Generated(COMMAND, made)
stale, write, main = FILES.stale, FILES.write, FILES.main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
