"""The whole tree of a service: complete, ordered, labelled, and the same bytes as ever.

Kubernetes' own objects and KubeRay's are also sent to a real API server, with strict validation, by
the tests that have one. The definitions of cert-manager, the Gateway API, the Prometheus Operator
and Kueue are not at hand there: of these objects only the structure is shown, by the golden files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters import names
from clusters.model import Manifest
from clusters.objects import KINDS, RANKS, surroundings
from clusters.objects.about import DESCRIPTION, leading
from clusters.written import write_tree
from tests.clusters.objects import states

CASES = states.names()
OF_PODS = ("ServiceAccount", "NetworkPolicy", "PersistentVolumeClaim", "PriorityClass")
each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_the_tree_is_the_golden_one(name: str, tmp_path: Path) -> None:
    write_tree(states.tree_of(name), tmp_path)
    golden = states.CASES / name / "tree"
    again = "python -m tests.clusters.objects.trees"
    assert _texts(tmp_path) == _texts(golden), f"if this is meant: {again}"


@each_case
def test_no_object_is_there_twice(name: str) -> None:
    found = [(m["kind"], m["metadata"]["name"]) for m in states.tree_of(name)]
    assert len(found) == len(set(found))


@each_case
def test_every_object_says_whose_it_is_and_what_for(name: str) -> None:
    for manifest in states.tree_of(name):
        metadata = manifest["metadata"]
        assert metadata["labels"][names.MANAGED_BY] == names.MANAGER, metadata
        assert metadata["labels"][names.SERVICE] == states.state(name).service, metadata
        described = metadata.get("annotations", {}).get(DESCRIPTION) or manifest.get("description")
        assert described or manifest["kind"] == "RayService", metadata


@each_case
def test_what_pods_need_comes_before_them(name: str) -> None:
    ranks = [RANKS[m["kind"]] for m in states.tree_of(name)]
    assert all(before <= after for before, after in pairwise(ranks))
    assert all(RANKS[kind] < RANKS["RayService"] for kind in OF_PODS)
    assert RANKS["RayService"] < RANKS["Service"]


@each_case
def test_only_the_priority_class_is_the_whole_clusters(name: str) -> None:
    for manifest in states.tree_of(name):
        own = manifest["metadata"].get("namespace") == states.state(name).namespace
        assert own is not (manifest["kind"] == "PriorityClass")


@each_case
def test_the_surroundings_are_the_tree_without_its_runtimes(name: str) -> None:
    expected = [m for m in states.tree_of(name) if m["kind"] != "RayService"]
    assert list(surroundings(states.state(name))) == expected


@each_case
def test_the_same_state_makes_the_same_bytes(name: str) -> None:
    assert json.dumps(states.tree_of(name)) == json.dumps(states.tree_of(name))


@each_case
def test_every_object_that_a_pod_names_is_made(name: str) -> None:
    manifests = states.tree_of(name)
    made = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    for pod in _pods(manifests):
        assert ("ServiceAccount", pod["serviceAccountName"]) in made
        if "priorityClassName" in pod:
            assert ("PriorityClass", pod["priorityClassName"]) in made
        for volume in pod.get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in made


def test_every_kind_is_in_one_of_the_cases() -> None:
    found = {m["kind"] for name in CASES for m in states.tree_of(name)}
    assert found == set(KINDS)


def test_a_service_without_runtimes_keeps_its_name_and_its_walls() -> None:
    empty = replace(states.state("production"), runtimes=(), active="")
    kinds = {m["kind"] for m in surroundings(empty)}
    assert kinds == {"ServiceAccount", "NetworkPolicy", "Service"}


def test_the_active_runtime_speaks_for_the_service() -> None:
    state = states.state("update")
    old, new = state.runtimes
    assert leading(state) == old
    assert leading(replace(state, active=new.id)) == new
    assert leading(replace(state, active="")) == new, "the newest, while none is active"


def _called(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _texts(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(directory.iterdir())}


def _pods(manifests: tuple[Manifest, ...]) -> Iterator[dict[str, Any]]:
    for manifest in manifests:
        if manifest["kind"] == "RayService":
            cluster = manifest["spec"]["rayClusterConfig"]
            for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                yield group["template"]["spec"]


@each_case
def test_the_files_read_back_are_the_objects(name: str) -> None:
    golden = sorted((states.CASES / name / "tree").glob("[0-9]*.yaml"))
    read = [yaml.safe_load(path.read_text()) for path in golden]
    assert sorted(read, key=_called) == sorted(states.tree_of(name), key=_called)
