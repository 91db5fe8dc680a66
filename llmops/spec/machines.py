"""The targets of a spec that are machines with a runtime of their own: this one, one behind an
agent, and hosts of a bare-metal cluster, whose head has an agent too.

Each field is documented right below it, as in `models`; what the fields cannot mean together is
refused by `contradictions`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec.bounds import Form
from llmops.spec.document import Section

File = Annotated[str, Field(min_length=2, max_length=4096), Form("an absolute path")]


class Tls(Section):
    """A certificate of one's own for the endpoint. `llmops keys tls` makes one to develop with."""

    cert: File
    """File with the certificate and those that it was issued by, in PEM. It is looked at every two
    seconds: one that was renewed is used from the next connection on, and none is dropped."""

    key: File
    """File with the certificate's private key, in PEM and without a password. It must be yours, and
    nobody else may read it."""


class LocalTarget(Section):
    """Serve on this machine."""

    kind: Literal["local"] = "local"
    """The target: `local` is this machine, `agent` one that is reached through a store,
    `kubernetes` a cluster, `aws` machines of Amazon EC2, `bare_metal` hosts of one's own."""

    host: Annotated[str, Form("an IP address, or 'localhost'")] = "127.0.0.1"
    """Address the endpoint listens on: an IP address, or `localhost`. Loopback by default: without
    `tls` the endpoint speaks plain HTTP, so set that before you open it to a network."""

    tls: Tls | None = None
    """Speak HTTPS, of version 1.2 or later. All services of one machine share one endpoint, and so
    this too: to change it, destroy them and deploy again. Renewing the files needs none of that."""

    allow_plaintext: bool = False
    """Whether the endpoint may listen where others can reach it without TLS: keys and texts could
    be read on the way. Set this only where a TLS proxy, or a network that you trust, is in between.
    `host` outside of loopback is refused without it or `tls`."""

    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    """Port of the endpoint. All services of one machine share one endpoint, and so this port."""


class MadeOn(Section):
    """For which other target a machine behind an agent was made, or set up."""

    kind: Literal["aws", "bare_metal"]
    """That target."""

    region: Annotated[str, Field(max_length=40)] = ""
    """The cloud's region; empty for hosts of one's own."""


class AgentTarget(LocalTarget):
    """Serve on a machine whose agent (`llmops agent`) does what a store says: it opens no port to
    be managed by."""

    kind: Literal["agent"]  # type: ignore[assignment]  # all else is as on this machine
    """The target: `local` is this machine, `agent` one that is reached through a store,
    `kubernetes` a cluster, `aws` machines of Amazon EC2, `bare_metal` hosts of one's own."""

    store: Annotated[
        str,
        Field(json_schema_extra={"pattern": "^(file:///.|s3://[^/@]+/.)"}),
        Form("an address such as s3://bucket/prefix"),
    ]
    """Where the commands and the agent leave what they have to tell each other:
    `s3://bucket/prefix`, or `file:///path` of a folder that both can write to. Whoever may write
    there may deploy."""

    made_on: MadeOn | None = None
    """Where llmops has made the machines; it says so itself when it hands a service to their agent.
    Policies for that kind of target, or that region, hold for the service as well."""

    reach: Literal["host", "machine", "network", "internet"] = "host"
    """From how far away clients come: `host` is as `host` says. Say another one only where a
    firewall lets nobody to the port but a load balancer that speaks TLS to clients: policies go by
    it, and take the endpoint for one that speaks TLS."""


class BareMetalTarget(AgentTarget):
    """Serve on hosts of a cluster that is described by a file. One of them is the head: endpoint
    and agent are there, and all fields but these four are about it."""

    kind: Literal["bare_metal"]  # type: ignore[assignment]  # all else is as behind an agent
    """The target: `local` is this machine, `agent` one that is reached through a store,
    `kubernetes` a cluster, `aws` machines of Amazon EC2, `bare_metal` hosts of one's own."""

    cluster: Annotated[str, Field(min_length=1, max_length=4096), Form("a path")]
    """The file that describes the cluster (`kind: Cluster`): its hosts, and how they are reached. A
    path that is not absolute begins where this spec lies."""

    count: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """Hosts that serve. `auto` takes as many as the most replicas need of the GPUs that the file
    of the cluster declares, and one where it declares none."""

    hosts: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(strict=False)
    ] = ()
    """Names of the hosts that may be taken, the first of them for the head. None named are all.
    Whatever is named, one that fails its checks, or is marked for maintenance, is left out."""

    health: Annotated[str, Field(min_length=1, max_length=4096), Form("a path")] | None = None
    """A file of thresholds of one's own for the hosts' checks; without it those that llmops has."""

    def behind_agent(self) -> AgentTarget:
        """What the head's own agent is asked for."""
        own = {name: getattr(self, name) for name in AgentTarget.model_fields}
        return AgentTarget(**own | {"kind": "agent", "made_on": MadeOn(kind=self.kind)})
