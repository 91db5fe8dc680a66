"""What KubeRay 1.7 refuses in a RayService although its schema lets it through. Pure; not KubeRay.

Only what the project could get wrong is here. A refused RayService gets a warning event and nothing
else: no cluster, no status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.kubernetes.standin.objects import head_ports

LONGEST_NAME = 47
LEAST_RAY = (2, 52)
STRATEGIES = ("NewCluster", "NewClusterWithIncrementalUpgrade", "None")


def find_problems(service: Mapping[str, Any]) -> list[str]:
    """Why the RayService is refused; empty when it is not."""
    return [*_name(service), *_groups(service), *_token(service), *_strategy(service)]


def find_missing_port(cluster: dict[str, Any]) -> str:
    """Why KubeRay could not make its Service for serving; empty when it can."""
    if any(name == "serve" or name.startswith("serve-") for name in head_ports(cluster)):
        return ""
    return "the head's container names ports, and none of them is 'serve'"


def _name(service: Mapping[str, Any]) -> Iterator[str]:
    name = service["metadata"]["name"]
    if len(name) > LONGEST_NAME:
        yield f"the name has {len(name)} characters, at most {LONGEST_NAME} are taken"
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield f"the name {name} is no DNS-1035 label: it must begin with a letter"


def _groups(service: Mapping[str, Any]) -> Iterator[str]:
    spec = service["spec"]["rayClusterConfig"]
    workers = spec.get("workerGroupSpecs", [])
    for group in workers:
        name, low, high = group["groupName"], group.get("minReplicas"), group.get("maxReplicas")
        if not spec.get("enableInTreeAutoscaling") and (low is None or high is None):
            yield f"group {name} must set minReplicas and maxReplicas"
        elif (low or 0) > (high if high is not None else 2**31):
            yield f"group {name} has minReplicas {low} above maxReplicas {high}"
    for group in (spec["headGroupSpec"], *workers):
        if group.get("resources") and group.get("rayStartParams", {}).get("resources"):
            yield "resources are set both in rayStartParams and in the group"
        if group.get("rayStartParams", {}).get("labels"):
            yield "rayStartParams has labels"
    if spec["headGroupSpec"].get("headService", {}).get("metadata", {}).get("name"):
        yield "headService has a name"


def _token(service: Mapping[str, Any]) -> Iterator[str]:
    spec = service["spec"]["rayClusterConfig"]
    if spec.get("authOptions", {}).get("mode") != "token":
        return
    version = re.match(r"(\d+)\.(\d+)", spec.get("rayVersion", ""))
    if version is None:
        yield "authOptions.mode is token and rayVersion is not given"
    elif tuple(map(int, version.groups())) < LEAST_RAY:
        yield f"authOptions.mode is token and Ray is {version[0]}"


def _strategy(service: Mapping[str, Any]) -> Iterator[str]:
    if service["spec"].get("upgradeStrategy", {}).get("type", "None") not in STRATEGIES:
        yield f"upgradeStrategy.type is none of {', '.join(STRATEGIES)}"
    if service["spec"]["rayClusterConfig"].get("upgradeStrategy"):
        yield "rayClusterConfig has an upgradeStrategy of its own"
