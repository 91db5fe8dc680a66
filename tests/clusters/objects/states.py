"""Cases of trees: a spec as a user writes it, and the figures that a plan would add to it.

A case is a folder with `llmops.yaml`; `before.yaml`, the spec of an older release that still
serves from a runtime of its own; and `cluster.yaml`, with what is not in a spec. The planner has no
part in them, so that a better plan changes no tree here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from clusters.model import Manifest, Runtime, ServiceState
from clusters.objects import tree
from clusters.rendering import serve_config
from clusters.shape import digest, shape_of
from llmops.planning import Figure, Layout, Plan, PodSize
from llmops.releases import Release, State
from llmops.spec import Deployment, load
from llmops.units import Bytes
from tests.releases.plans import make_plan

CASES = Path(__file__).parents[2] / "cases/objects"
POD = {"cores": 4, "memory": "8GiB", "disk": "8GiB"}


def names() -> list[str]:
    """Names of all cases."""
    return sorted(path.parent.name for path in CASES.glob("*/llmops.yaml"))


def state(name: str) -> ServiceState:
    """What should be in the cluster in the case of that name."""
    cluster = yaml.safe_load((CASES / name / "cluster.yaml").read_text())
    specs = [CASES / name / file for file in ("before.yaml", "llmops.yaml")]
    found = [load([path]) for path in specs if path.exists()]
    runtimes = [_runtime(d, number, cluster) for number, d in enumerate(found, start=1)]
    target: Any = found[-1].target
    return ServiceState(
        service=found[-1].name,
        namespace=target.namespace,
        runtimes=tuple(runtimes),
        active=runtimes[0].id,
        api_server=tuple(cluster.get("api_server", ())),
    )


def tree_of(name: str) -> tuple[Manifest, ...]:
    """The tree of a case, with the Serve config that its runtimes are given."""
    found = state(name)
    return tree(found, {runtime.id: serve_config(runtime) for runtime in found.runtimes})


def _runtime(deployment: Deployment, number: int, cluster: dict[str, Any]) -> Runtime:
    plan = _plan(deployment, cluster)
    release = Release(deployment.name, number, plan, State.LIVE, created_at=float(number))
    shape = shape_of(plan)
    return Runtime(
        id=digest(shape),
        service=deployment.name,
        shape=shape,
        releases=(release,),
        shares={number: 100},
        generation=1,
    )


def _plan(deployment: Deployment, cluster: dict[str, Any]) -> Plan:
    """A plan with the case's figures: not one that the planner would make."""
    tensor = cluster.get("tensor", 0)
    sizes = POD | cluster.get("pod", {})
    replicas = deployment.scaling.replicas
    plan = make_plan("identity")
    weighs = int(Bytes.parse(cluster.get("weight_bytes", "1GiB")))
    model = replace(plan.model, source=deployment.model.source, weight_bytes=_figure(weighs))
    return replace(
        plan,
        service=deployment.name,
        model=model,
        layout=Layout(
            "gpu" if tensor else "cpu", tensor or 1, 1, replicas.low, replicas.high, _figure(4), ""
        ),
        target=deployment.target.model_dump(mode="json"),
        image=str(deployment.image),
        pod=PodSize(
            cores=_figure(sizes["cores"]),
            memory=_figure(int(Bytes.parse(sizes["memory"]))),
            disk=_figure(int(Bytes.parse(sizes["disk"]))),
            gpus=_figure(tensor),
        ),
    )


def _figure(value: int) -> Figure:
    return Figure(value, "a case says so")
