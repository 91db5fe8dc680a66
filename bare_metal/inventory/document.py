"""Cluster files, read strictly: every mistake at once, each at its file, line and column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bare_metal.inventory.contradictions import find_contradictions
from bare_metal.inventory.model import Cluster
from llmops.spec import Document, Placed, read_document, read_text

CLUSTER = Document(
    model=Cluster,
    noun="a cluster file",
    describes="a cluster",
    line="kind: Cluster",
    begin="docs/reference/cluster.md shows one to start from",
    absent="-f names a cluster file; docs/reference/cluster.md shows one to start from",
    usual="cluster.yaml",
    levels="three",
    more="docs/reference/cluster.md explains {path}",
    contradictions=find_contradictions,
    stand_ins=((("kind",), "Cluster"), (("name",), "stand-in")),
    examples={
        "kind": "kind: Cluster",
        "name": "name: alpha",
        "units": "units: [{name: su, count: 4, hosts: 32}]",
        "units.name": "name: su1",
        "units.hosts": "hosts: 32",
        "hcas.device": "device: mlx5_0",
        "hosts.unit": "unit: su1",
        "hosts.slot": "slot: 1",
        "nics.device": "device: eno1",
        "switches.name": "name: leaf-su1-r1",
        "gpus.kind": "kind: H100-SXM",
        "system.users.name": "name: llmops",
        "system.modules.name": "name: ib_umad",
        "system.cache.source": "source: LABEL=weights",
        "system.firewall.allow": "allow: [10.0.0.0/16]",
        "system.program.wheel": "wheel: dist/llmops-0.1.0-py3-none-any.whl",
        "system.program.lock": "lock: requirements/local.txt",
    },
    later={"kind": "a cluster file says kind: Cluster; llmops validate reads a spec"},
)
"""A cluster file."""


def read_cluster(paths: Sequence[Path]) -> Placed[Cluster]:
    """Read a cluster; a later file overlays the earlier ones, and `-` is standard input.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of all files.
    """
    return read_document(CLUSTER, paths)


def parse_cluster(text: str, name: str = "cluster.yaml") -> Placed[Cluster]:
    """Read a text in place of a file.

    Raises:
        SpecError: With all its problems.
    """
    return read_text(CLUSTER, text, name)
