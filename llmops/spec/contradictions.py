"""What no deployment can mean, though each value has the right type: values and sections compared.

Pure, and without a look at a machine or a model: what only these can tell, the plan refuses with
its arithmetic. Each finding names the value to blame and all others that it is about.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from llmops.spec import arguments
from llmops.spec.adapter_rules import find_in_adapters
from llmops.spec.aws import AwsTarget
from llmops.spec.aws_rules import find_on_aws
from llmops.spec.cluster_rules import find_in_cluster
from llmops.spec.document import Finding, Written
from llmops.spec.kubernetes import KubernetesTarget
from llmops.spec.limit_rules import RESERVED_KEY, find_in_limits
from llmops.spec.machines import AgentTarget, LocalTarget
from llmops.spec.models import Deployment, Hardware, Parallelism
from llmops.spec.nodes import Trail
from llmops.spec.scaling_rules import find_in_scaling
from llmops.spec.sources import find_in_source
from llmops.spec.words import quoted

SPANS_NOT = {
    "local": "each stage stands on a machine of its own",
    "kubernetes": "a replica is one pod on one node",
}
"""By target: why it cuts no replica over several machines. Those that are not named do."""

MOST_STEPS = 10
"""Of a canary: each makes the bounds of all wider, and ten last long enough."""


def find_contradictions(deployment: Deployment, written: Written) -> Iterator[Finding]:
    """Everything that is wrong with a deployment of which each value has the right type."""
    model = deployment.model
    yield from find_in_source(("model",), model.source, model.revision)
    yield from find_in_adapters(deployment)
    yield from _engine(deployment)
    yield from _devices(deployment)
    yield from _memory(deployment)
    if isinstance(deployment.target, KubernetesTarget):
        yield from find_in_cluster(deployment, deployment.target)
    elif isinstance(deployment.target, AwsTarget):
        yield from find_on_aws(deployment, deployment.target, written)
    else:
        yield from _local(deployment.target)
    yield from find_in_scaling(deployment)
    yield from _security(deployment, written)
    yield from _maintenance(deployment, written)
    yield from find_in_limits(deployment, written)


def _engine(deployment: Deployment) -> Iterator[Finding]:
    for wrong in arguments.check(deployment.engine.args):
        trail = ("engine", "args", *wrong.trail)
        yield Finding(trail, wrong.message, wrong.hint, key=wrong.key)


def _devices(deployment: Deployment) -> Iterator[Finding]:
    layout, hardware = deployment.parallelism, deployment.hardware
    if not isinstance(layout, Parallelism):
        return
    kind = deployment.target.kind
    if layout.pipeline > 1 and kind in SPANS_NOT:
        yield Finding(
            ("parallelism", "pipeline"),
            f"expected 1 for the target {kind}, found {layout.pipeline}: {SPANS_NOT[kind]}",
            "cut layers instead: parallelism.tensor", (("target", "kind"),),
        )  # fmt: skip
    if layout.data > 1:
        yield Finding(
            ("parallelism", "data"),
            f"expected 1 for the target {kind}, found {layout.data}",
            "have replicas instead: scaling.replicas", (("target", "kind"),),
        )  # fmt: skip
    if not isinstance(hardware, Hardware) or hardware.cores == "auto" or hardware.device == "gpu":
        return
    if layout.tensor > hardware.cores:
        yield Finding(
            ("parallelism", "tensor"),
            f"expected at most hardware.cores ({hardware.cores}), found {layout.tensor}",
            "each shard computes on a core of its own: raise hardware.cores, or lower this",
            (("hardware", "cores"), ("hardware", "device")),
        )  # fmt: skip


def _memory(deployment: Deployment) -> Iterator[Finding]:
    hardware, cache = deployment.hardware, deployment.engine.kv_cache
    if not isinstance(hardware, Hardware) or hardware.device == "gpu":
        return
    if hardware.memory == "auto" or cache == "auto" or hardware.memory > cache:
        return
    yield Finding(
        ("engine", "kv_cache"),
        f"expected less than hardware.memory ({hardware.memory}), found {cache}",
        "the weights and the engine need memory too: lower this, or raise hardware.memory",
        (("hardware", "memory"), ("hardware", "device")),
    )


def _local(target: LocalTarget) -> Iterator[Finding]:
    yield from _tls(target)
    yield from _host(target)
    if isinstance(target, AgentTarget):
        yield from _store(target)


def _store(target: AgentTarget) -> Iterator[Finding]:
    scheme, _, place = target.store.partition("://")
    if scheme == "s3" and "@" in place.partition("/")[0]:
        yield Finding(
            ("target", "store"), "expected an address without credentials",
            "give them to the client in its own way: environment, profile or role",
        )  # fmt: skip
    elif not re.fullmatch(r"file:///.+|s3://[^/@]+/.+", target.store):
        hint = "expected file:///folder or s3://bucket/prefix"
        yield Finding(("target", "store"), f"{quoted(target.store)} is no store", hint)


def _tls(target: LocalTarget) -> Iterator[Finding]:
    if target.tls is None:
        return
    for name, path in (("cert", target.tls.cert), ("key", target.tls.key)):
        if not path.startswith("/") or "\0" in path:
            hint = "the runtime has no folder that it could be relative to"
            yield Finding(
                ("target", "tls", name), f"expected an absolute path, found {quoted(path)}", hint
            )


def _host(target: LocalTarget) -> Iterator[Finding]:
    trail: Trail = ("target", "host")
    if target.host == "localhost":
        return
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        yield Finding(
            trail, f"expected an IP address or 'localhost', found {quoted(target.host)}",
            "write the port as target.port"
            if re.fullmatch(r"[^:]*:[0-9]{1,5}", target.host)
            else "127.0.0.1 is this machine alone; an address of a network card is that network",
        )  # fmt: skip
        return
    if address.is_multicast or address == ipaddress.ip_address("255.255.255.255"):
        hint = "127.0.0.1 is this machine alone"
        message = f"expected an address that one machine has, found {quoted(target.host)}"
        yield Finding(trail, message, hint)
    elif not address.is_loopback and not target.allow_plaintext and target.tls is None:
        yield Finding(
            trail,
            f"expected a loopback address such as 127.0.0.1, found {quoted(target.host)}:"
            " the endpoint speaks plain HTTP",
            "add target.tls, put a TLS proxy in front of 127.0.0.1, or add"
            " target.allow_plaintext: true",
            (("target", "allow_plaintext"), ("target", "tls")),
        )  # fmt: skip


def _maintenance(deployment: Deployment, written: Written) -> Iterator[Finding]:
    """What is said of upkeep and has no effect."""
    strategy, kind = deployment.maintenance.strategy, deployment.target.kind
    if written(("maintenance", "canary")) and strategy != "canary":
        yield Finding(
            ("maintenance", "canary"),
            f"expected the strategy 'canary' beside it, found '{strategy}'",
            "set maintenance.strategy to canary, or remove this",
            (("maintenance", "strategy"),), key=True,
        )  # fmt: skip
    if deployment.routing.shadow and strategy != "canary":
        yield Finding(
            ("routing", "shadow"),
            f"expected the strategy 'canary' beside it, found '{strategy}'",
            "set maintenance.strategy to canary, or remove this",
            (("maintenance", "strategy"),), key=True,
        )  # fmt: skip
    steps = list(deployment.maintenance.canary.steps)
    if not 1 <= len(steps) <= MOST_STEPS or steps != sorted(set(steps)):
        yield Finding(
            ("maintenance", "canary", "steps"),
            f"expected 1 to {MOST_STEPS} shares, each above the one before, found {steps}",
            "write [10, 50], or leave it out for [10]",
        )
    if written(("maintenance", "keep_logs")) and kind == "kubernetes":
        yield Finding(
            ("maintenance", "keep_logs"),
            "expected it for the target local only: pods that have ended keep no log",
            "remove it", (("target", "kind"),), key=True,
        )  # fmt: skip


def _security(deployment: Deployment, written: Written) -> Iterator[Finding]:
    security, context = deployment.security, deployment.model.context
    seen: dict[str, int] = {}
    for index, name in enumerate(security.keys):
        trail: Trail = ("security", "keys", index)
        if name == RESERVED_KEY:
            message = f"expected another name, found '{name}': this machine's own commands use it"
            yield Finding(trail, message, "name a key for who holds it, such as team-a")
        elif name in seen:
            message = f"expected each name once, found '{name}' again (first is keys[{seen[name]}])"
            yield Finding(trail, message, "remove one of them")
        seen.setdefault(name, index)
    asked = ("security", "max_tokens")
    if isinstance(context, int) and written(asked) and security.max_tokens > context:
        yield Finding(
            asked, f"expected at most model.context ({context}), found {security.max_tokens}",
            "prompt and answer share the context: lower this, or raise model.context",
            (("model", "context"),),
        )  # fmt: skip
