"""The guide to Kubernetes as far as it needs no cluster: its specs load, its tables are whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from clusters.objects import KINDS
from llmops.spec import KubernetesTarget, load
from tests.clusters.objects import states
from tests.docs import guide, pages
from tests.docs.guide import GUIDE
from tests.docs.pages import ROOT
from tests.docs.test_docs import can_occur

BLOCKS = pages.blocks(GUIDE)
STEPS = guide.steps()
COMMANDS = [step.command for step in STEPS if step.command]
TEXT = GUIDE.read_text(encoding="utf-8")
CHANGING = ("deploy", "rollback", "destroy", "drain")
OF_STATE = {"Secret", "ConfigMap", "Lease"}
REASONS = [
    " ".join(yaml.safe_load(case.read_text())["reason"]["text"].split())
    for case in sorted((ROOT / "tests" / "cases" / "reasons").glob("*.yaml"))
]
ANOTHER = re.compile(r"^chat(?:-[0-9a-f]{8})?(-[a-z-]+)$")


def _spec(folder: Path) -> Path:
    [block] = [block for block in BLOCKS if block.mark == "file: chat.yaml"]
    path = folder / "chat.yaml"
    path.write_text(block.text)
    return path


def _rows(heading: str) -> list[str]:
    """First cells of the table with that heading."""
    after = TEXT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [line.split(" | ")[0].strip("| ") for line in after.splitlines()[2:]]


def test_its_spec_is_one_for_a_cluster(tmp_path: Path) -> None:
    deployment = load([_spec(tmp_path)])
    assert isinstance(deployment.target, KubernetesTarget)
    assert deployment.name == "chat"
    assert deployment.target.namespace == "models"


@pytest.mark.parametrize("kind", ["gateway", "ingress"])
def test_each_way_in_from_outside_overlays_its_spec(kind: str, tmp_path: Path) -> None:
    [block] = [b for b in BLOCKS if not b.mark and f"kind: {kind}" in b.text]
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(block.text)
    target = load([_spec(tmp_path), overlay]).target
    assert isinstance(target, KubernetesTarget)
    assert target.expose.kind == kind


def test_every_command_is_run_or_says_why_not() -> None:
    for block in BLOCKS:
        if block.language == "console":
            assert re.fullmatch(r"run(: \d)?|not run: .{10,}", block.mark), f"{block}: {block.mark}"


def test_everything_that_is_printed_stands_below_a_command() -> None:
    for at, block in enumerate(BLOCKS):
        if block.mark == "prints":
            assert BLOCKS[at - 1].mark.startswith("run"), str(block)
        assert block.language != "text" or block.mark == "prints", str(block)


def test_every_command_that_changes_something_needs_no_answer() -> None:
    for command in COMMANDS:
        for part in command.split(" && "):
            words = part.split()
            if words[0] == "llmops" and set(words[1:3]) & set(CHANGING):
                assert "--yes" in words, f"{command} would ask"


def test_it_goes_from_a_namespace_to_nothing() -> None:
    assert COMMANDS[0] == "kubectl create namespace models"
    assert COMMANDS[-1].startswith("kubectl delete namespace models")
    assert [c for c in COMMANDS if c.startswith("llmops destroy")] == ["llmops destroy chat --yes"]


def test_every_kind_of_object_that_is_made_is_explained() -> None:
    told = " ".join(_rows("Object | Why it is there"))
    assert not [kind for kind in {*KINDS, *OF_STATE} if not re.search(rf"\b{kind}\b", told)]


def test_every_network_policy_is_explained_and_no_other() -> None:
    made = set()
    for case in states.names():
        for manifest in states.tree_of(case):
            if manifest["kind"] == "NetworkPolicy":
                service = manifest["metadata"]["labels"]["llmops/service"]
                name = manifest["metadata"]["name"].replace(service, "chat", 1)
                [suffix] = ANOTHER.findall(name)
                made.add(suffix)
    assert {row.strip("`") for row in _rows("Policy | Lets through")} == made


@pytest.mark.parametrize("said", [row.strip("`") for row in _rows("It says | What to do")])
def test_every_message_of_a_wait_can_occur(said: str) -> None:
    pattern = re.compile(".*".join(map(re.escape, said.split("…"))), re.DOTALL)
    assert any(map(pattern.search, REASONS)) or can_occur(said), f"nothing says {said!r} any more"


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        (("a  1 s", "b"), "a 1 min 5 s\nx\nb"),
        (("pod/chat-0011aabb-x1y2z-head-q9q9q 5s",), "pod/chat-99ffee00-aaaaa-head-bbbbb   1m7s"),
        (("first", "…", "last"), "first\nanything\nlast"),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(
    expected: tuple[str, ...], printed: str
) -> None:
    assert not guide.missing(expected, printed)


@pytest.mark.parametrize(
    ("expected", "printed", "missing"),
    [
        (("replicas 2",), "replicas 3", "replicas 2"),
        (("a", "a"), "a\nb", "a"),
        (("done: verify",), "", "done: verify"),
    ],
)
def test_what_is_not_printed_is_found_out(
    expected: tuple[str, ...], printed: str, missing: str
) -> None:
    assert guide.missing(expected, printed) == missing
