"""The command and the environment of a pod's container, as KubeRay and a kubelet make them. Pure.

The command is `ray start` with what KubeRay derives from the group: `rayStartParams`, the limits,
the resources. Left out: containers beside the first, init containers (`pods` waits for the head
instead), `envFrom`, variables that refer to others, GPUs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clusters.quantities import parse, whole
from tests.kubernetes.standin.objects import GROUP, NODE_TYPE
from tests.kubernetes.standin.ray import resources

Object = dict[str, Any]
Finds = Callable[[str], Object | None]


def group_of(cluster: Object, pod: Object) -> Object:
    """The group of a RayCluster that a pod belongs to."""
    if pod["metadata"]["labels"][NODE_TYPE] == "head":
        return cluster["spec"]["headGroupSpec"]  # type: ignore[no-any-return]
    name = pod["metadata"]["labels"][GROUP]
    groups: list[Object] = cluster["spec"]["workerGroupSpecs"]
    return next(group for group in groups if group["groupName"] == name)


def command(cluster: Object, pod: Object) -> list[str]:
    """What KubeRay has the pod run."""
    is_head = pod["metadata"]["labels"][NODE_TYPE] == "head"
    group, [container, *_] = group_of(cluster, pod), pod["spec"]["containers"]
    limits = container.get("resources", {}).get("limits", {})
    parameters = {
        "num-cpus": str(int(parse(limits["cpu"]))),
        "memory": str(whole(limits["memory"])),
    }
    if is_head:
        parameters["dashboard-host"] = "0.0.0.0"
    else:
        parameters["address"] = _literal(container, "FQ_RAY_IP") + ":6379"
    if own := resources(group):
        parameters["resources"] = json.dumps(own)
    parameters |= group.get("rayStartParams", {})
    words = [f"--{name}={value}" for name, value in sorted(parameters.items())]
    return ["ray", "start", *(["--head"] if is_head else []), "--block", *words]


def head_name(pod: Object) -> str:
    """The name under which a worker looks for its head; empty for the head itself."""
    [container, *_] = pod["spec"]["containers"]
    return _literal(container, "FQ_RAY_IP")


def environment(pod: Object, address: str, find: Finds) -> dict[str, str]:
    """Variables of the pod's container.

    Args:
        pod: The pod.
        address: Its address.
        find: A Secret of its namespace by name.

    Raises LookupError when a Secret or a key that a variable refers to is not there.
    """
    [container, *_] = pod["spec"]["containers"]
    meta = pod["metadata"]
    fields = {
        "status.podIP": address,
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
    }
    return dict(_resolved(container.get("env", []), fields, find))


def _resolved(
    variables: list[Object], fields: Mapping[str, str], find: Finds
) -> Iterator[tuple[str, str]]:
    for variable in variables:
        source = variable.get("valueFrom")
        if source is None:
            yield variable["name"], variable.get("value", "")
        elif "fieldRef" in source:
            yield variable["name"], fields[source["fieldRef"]["fieldPath"]]
        else:
            yield variable["name"], _secret(source["secretKeyRef"], find)


def _secret(reference: Mapping[str, str], find: Finds) -> str:
    found = find(reference["name"])
    if found is None:
        raise LookupError(f"there is no Secret {reference['name']}")
    return base64.b64decode(found["data"][reference["key"]]).decode()


def _literal(container: Mapping[str, Any], name: str) -> str:
    values = (v.get("value", "") for v in container.get("env", []) if v["name"] == name)
    return next(iter(values), "")
