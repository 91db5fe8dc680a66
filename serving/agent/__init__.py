"""The target `agent`: a machine does what a store says, and opens no port to be managed by.

A command writes what is wanted into a store, a folder or a bucket, and `llmops agent`, which runs
on the machine that serves, does it: the same flow, over the same steps, as on a machine of one's
own. Neither waits for the other to live. A command that is killed loses only its view: the agent
goes on, and the next command is told, or follows. An agent that is killed is continued by the next
one, from what is recorded.

**Who runs the flow.** The agent, and all of it. Were the steps mailed one by one, a release would
stop halfway with the command that asked for it. So `AgentTarget` is an Observer and has, one level
above the steps, three verbs: each plans where the command is, with facts that the agent has looked
up, shows, asks, writes one order, and follows it. The agent runs `llmops.workflow` with the order,
whose confirmation is that its own plan is the one that was agreed to: same identity, same facts.

**The objects**, below the store's prefix. Each is small JSON with `format` and `version`; numbers
have eight digits, so that a listing is in order.

| Object | Written by | How |
|---|---|---|
| `agent/lease.json` | the agent | compare-and-swap, every few seconds: who, since when, at what |
| `agent/seen.json` | the agent | compare-and-swap: which version of the keys the gateways use |
| `agent/cluster.json` | the agent | compare-and-swap: where further machines join its Ray |
| `nodes/NAME.json` | that machine | compare-and-swap: its lease as a worker |
| `services/S/history.json` | the agent | compare-and-swap: the release store |
| `services/S/status.json` | the agent | compare-and-swap: the last status that was seen |
| `orders/S/N.json` | a command | created once: what is wanted, by whom, agreed to on which facts |
| `accepted/S/N.json` | the agent | created once: the order's plan was found to hold |
| `cancels/S/N.json` | a command | created once: take it back |
| `events/S/N/K.json` | the agent | created once: what happened, in pieces |
| `outcomes/S/N.json` | the agent | created once: how it ended |
| `questions/ID.json`, `answers/ID.json` | a command; the agent | created once, removed when read |
| `keys.json` | commands | compare-and-swap: hashes of API keys |
| `policies.json` | commands | compare-and-swap: the shelf |
| `leaving.json` | commands | compare-and-swap: the one further machine that is to leave |
| `bell.json` | commands | compare-and-swap: rung after a write, so that a look costs one read |

**One writer.** An order is the lock of its service: number N can be created once, and only when
N - 1 has an outcome. Of two commands one wins; the other is told who ordered what and since when,
or, where it wants the very same, follows. One agent has the lease; each of its writes asks first
whether the lease is surely still its own, by a clock that nobody sets.

**A crash at any write.** Before an order is created nothing is wanted. From then on it is, until it
has an outcome, and an agent that starts runs what has none. The flow converges, so running it again
does what is left: a deploy continues the release that it recorded; a rollback names the release it
repeats; facts are compared only before the order is accepted, because later the work itself changes
them. A bell that was not rung is made up for by a look every minute. A question without an
asker is removed when it is old.

**Slow or dead.** The lease counts beats. A command judges by whether they change, on its own clock,
so no two clocks have to agree: one that finds an old lease watches it for longer than a beat takes.
No lease, or one that has ended, is told at once.

**Versions.** A document of another `format` is refused by whoever reads it, with both versions
named. A deploy also needs the same version on both sides, or the plan that was agreed to would not
be the one that is made.

**Secrets.** No text of an API key, and no token, is ever in the store: commands put hashes there,
and show the text. Ray's token is a file that whoever sets up the machines puts on each; the store
has only its fingerprint. References such as a hub's token are resolved on the agent's machine.
Whoever may write to the store may deploy and make keys: its permissions are the access control.
"""

from serving.agent.blobs import Blobs, StoreUnreachable
from serving.agent.opening import open_blobs
from serving.agent.presence import Presence, Watch
from serving.agent.target import AgentTarget
from serving.agent.together import as_one
from serving.agent.unit import SERVICE, AgentUnit, unit_text
from serving.agent.words import Leaving, Node

__all__ = [
    "AgentTarget",
    "AgentUnit",
    "Blobs",
    "Leaving",
    "Node",
    "Presence",
    "SERVICE",
    "StoreUnreachable",
    "Watch",
    "as_one",
    "open_blobs",
    "unit_text",
]
