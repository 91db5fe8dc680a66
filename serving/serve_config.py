"""Releases to Ray Serve's own declarative config: pure, and the same for every target.

The config is the whole truth: Serve deletes an application that is left out. So it is always made
of all live releases of all services, by whoever holds the runtime's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llmops.planning import Layout, PlannedAdapter
from llmops.releases import Release, State
from serving.engines.settings import EngineRun
from serving.scaling_config import autoscaled, autoscaling_config, gateway_table, router_config

GATEWAY = "llmops-gateway"
"""Name of the gateway's application and deployment."""

REPLICA = "replica"
"""Name of the deployment inside a release's application."""

ANSWERED_BY = "x-llmops-answered-by"
"""Header in which a replica says which release it has answered for."""

ANSWERED_WITH = "x-llmops-answered-with"
"""Header in which it says with which adapter: its digest; none for the bare weights."""


LOOKED_AT = 1
"""Seconds after which Serve looks again whether a replica is there: only then it starts another."""

GATEWAY_RESOURCE = "llmops_gateway"
REPLICA_RESOURCE = "llmops_replica"

OF_A_MACHINE = 0.01
"""What a replica takes of its machine's one `REPLICA_RESOURCE`. It bounds nothing; but Ray puts an
actor that takes nothing of a CPU on any node, and spreads only those that take something."""
"""Ray resources of a pod that a gateway, or a replica, may be placed on: one of each."""


@dataclass(frozen=True, slots=True)
class Pods:
    """What is different where a runtime's nodes are pods and not this machine."""

    gateways: int
    """How many gateways there are, each on a pod of its own."""
    keys: str
    """File with the hashes of API keys, mounted from where the target keeps them."""


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """What the runtime's parts are told beside the releases: where their files and ports are."""

    home: str
    host: str
    port: int
    metrics_port: int
    pods: Pods | None = None
    """None on this machine."""
    tls: tuple[str, str] | None = None
    """Files of the endpoint's certificate and its key; None where it speaks plain HTTP."""
    machines: bool = False
    """Whether further machines may have joined: then the gateway is kept on the first, and each
    fetches its own weights."""


def application_name(service: str, number: int) -> str:
    """Name of a release's Serve application, such as `support-chat-r3`."""
    return f"{service}-r{number}"


def release_of(application: str, service: str) -> int | None:
    """The release that an application of this name is of; None when it is none of `service`'s."""
    number = application.removeprefix(f"{service}-r")
    return int(number) if number != application and number.isdecimal() else None


def routes(
    releases: Iterable[Release], shares: Mapping[tuple[str, int], int], keys_version: str
) -> dict[str, Any]:
    """The gateway's routing table: which release of which service gets which share (percent).

    It carries the version of the key set, never the keys: Serve shows `user_config` to whoever can
    ask its API.
    """
    services: dict[str, Any] = {}
    for release in sorted(releases, key=lambda r: (r.service, r.number)):
        share = shares.get((release.service, release.number), 0)
        entry = services.setdefault(release.service, {"releases": []})
        entry["releases"].append(
            {"release": release.number, "share": share}
            | _begins(release)
            | _engine(release)
            | _models(release)
        )
        if share or "limits" not in entry:
            entry["context"] = int(release.plan.model.context.value)
            entry["limits"] = _told(asdict(release.plan.limits))
            entry.pop("scaling", None)
            if (scaling := gateway_table(release.plan)) is not None:
                entry["scaling"] = scaling
            entry.pop("affinity", None)
            if release.plan.affinity != "request":
                entry["affinity"] = release.plan.affinity
            entry.pop("shadow", None)
            if release.plan.shadow:
                entry["shadow"] = release.plan.shadow
    return {"keys_version": keys_version, "services": services}


def _engine(release: Release) -> dict[str, int]:
    """Whose engine answers for a release, where that is another's."""
    return {} if release.hosted_by is None else {"engine": release.hosted_by}


def _models(release: Release) -> dict[str, dict[str, str]]:
    """The model names that a release has beside the service's, with the digest of the adapter that
    each is answered with."""
    named = release.plan.model.adapters
    return {"models": {name: one.digest for name, one in named.items()}} if named else {}


def _begins(release: Release) -> dict[str, int]:
    """With how many replicas a release begins that is on its way.

    Told by the table, which the gateways pass on, and not in the release's own config: Serve would
    go back to that number, under whatever load, when something else of it is told anew.
    """
    staging = release.state is State.STAGING and autoscaled(release.plan)
    return {"begins": release.begins} if staging and release.begins else {}


def _told(limits: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that there are: what is left out is without one."""
    found = {name: _told(one) if isinstance(one, Mapping) else one for name, one in limits.items()}
    return {name: one for name, one in found.items() if one not in (None, {})}


def render(
    releases: Iterable[Release],
    table: Mapping[str, Any],
    settings: RuntimeSettings,
    generation: int,
    hosts: Iterable[Release] = (),
) -> dict[str, Any]:
    """Ray Serve's config for all `releases` and the gateway in front of them.

    An engine that answers for another release's adapter stays as long as any release needs it.

    Args:
        releases: Every release that should run, of every service.
        hosts: Releases that should run no more themselves, but whose engine answers for others.
        table: What `routes` made of them.
        settings: Where the runtime keeps its files and ports.
        generation: Number that the gateway acknowledges once it uses this table.
    """
    members = list(releases)
    known = {(r.service, r.number): r for r in (*hosts, *members)}
    apps = [
        _release_application(host, settings, _adapters(host, members))
        for host in known.values()
        if any((r.service, r.engine) == (host.service, host.number) for r in members)
    ]
    return {
        "proxy_location": "Disabled",
        "applications": [
            _gateway_application(settings, {**table, "generation": generation}),
            *sorted(apps, key=lambda app: str(app["name"])),
        ],
    }


def _gateway_application(settings: RuntimeSettings, table: Mapping[str, Any]) -> dict[str, Any]:
    pods = settings.pods
    options: dict[str, Any] = {"num_cpus": 0}
    if pods is not None or settings.machines:
        options["resources"] = {GATEWAY_RESOURCE: 1}
    return {
        "name": GATEWAY,
        "route_prefix": None,
        "import_path": "serving.runtime.gateway_app:build",
        "args": {
            "home": settings.home,
            "host": settings.host,
            "port": settings.port,
            "metrics_port": settings.metrics_port,
            **({"keys": pods.keys} if pods else {}),
            **({"tls": list(settings.tls)} if settings.tls else {}),
        },
        "deployments": [
            {
                "name": GATEWAY,
                "num_replicas": pods.gateways if pods else 1,
                "max_ongoing_requests": 1000,
                "user_config": dict(table),
                "ray_actor_options": options,
                "health_check_period_s": LOOKED_AT,
                "graceful_shutdown_timeout_s": 10,
            }
        ],
    }


def _adapters(host: Release, members: Iterable[Release]) -> dict[str, Any]:
    """What an engine is told of adapters, by release that it answers for: with which one, null for
    the bare weights; and `named`, those that have a model name of their own. Serve hands that to
    replicas that run, without a restart."""
    if not host.plan.engine.adapter_rank:
        return {}
    told: dict[str, Any] = {}
    named: dict[str, Any] = {}
    for release in members:
        if (release.service, release.engine) == (host.service, host.number):
            model = release.plan.model
            told[str(release.number)] = _told_of(model.adapter) if model.adapter else None
            if model.adapters:
                found = {name: _told_of(one) for name, one in model.adapters.items()}
                named[str(release.number)] = found
    return {"user_config": {"adapters": told} | ({"named": named} if named else {})}


def _told_of(adapter: PlannedAdapter) -> dict[str, str]:
    return {"source": adapter.source, "digest": adapter.digest}


def _parted(layout: Layout, options: Mapping[str, Any]) -> dict[str, Any]:
    """Where the parts of a replica stand: the actor of the first is Serve's, and it starts the
    others; each takes the same of a machine of its own."""
    gpus = {"GPU": options["num_gpus"]} if options["num_gpus"] else {}
    return {
        "placement_group_bundles": [{**options["resources"], **gpus}] * layout.pipeline,
        "placement_group_strategy": "STRICT_SPREAD",
    }


def _release_application(
    release: Release, settings: RuntimeSettings, adapters: Mapping[str, Any]
) -> dict[str, Any]:
    plan = release.plan
    deployment: dict[str, Any] = {
        "name": REPLICA,
        "max_ongoing_requests": 1024,
        "ray_actor_options": {
            "num_cpus": 0,
            "num_gpus": plan.layout.tensor if plan.layout.device == "gpu" else 0,
        },
        "health_check_period_s": LOOKED_AT,
        "health_check_timeout_s": 30,
        "graceful_shutdown_timeout_s": plan.drain_seconds,
        "graceful_shutdown_wait_loop_s": 0.5,
        **router_config(plan),
        **adapters,
    }
    if settings.pods is not None:
        deployment["ray_actor_options"]["resources"] = {REPLICA_RESOURCE: 1}
    elif settings.machines:
        deployment["ray_actor_options"]["resources"] = {REPLICA_RESOURCE: OF_A_MACHINE}
    if plan.layout.pipeline > 1:
        deployment |= _parted(plan.layout, deployment["ray_actor_options"])
    if autoscaled(plan):
        deployment["autoscaling_config"] = autoscaling_config(plan)
    else:
        deployment["num_replicas"] = plan.layout.replicas_low
    return {
        "name": application_name(release.service, release.number),
        "route_prefix": None,
        "import_path": "serving.runtime.replica:build",
        "args": {
            "home": settings.home,
            "run": EngineRun.of(release).document(),
            # On this machine the weights were fetched before; a pod, or a further machine, has a
            # disk of its own.
            **({"fetch": True} if settings.pods or settings.machines else {}),
            **({"machine": True} if settings.machines else {}),
        },
        "deployments": [deployment],
    }
