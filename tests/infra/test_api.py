"""Every input is one that AWS's API knows, by botocore's models; see `api` for what that proves."""

from __future__ import annotations

import base64
import re

import pytest

from infra.startup import LONGEST
from tests.infra.api import PROVIDERS_OWN, SHAPES, wrong
from tests.infra.capturing import Captured
from tests.infra.graphs import NAMES, captured, case, short

DESCRIBED = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
"""What EC2 takes for the description of a security group or a rule."""


@pytest.fixture(scope="module")
def graphs() -> dict[str, Captured]:
    return {name: captured(case(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_api_knows_every_input(graphs: dict[str, Captured], name: str) -> None:
    found = [
        f"{short(one.urn)}: {problem}"
        for one in graphs[name].resources.values()
        if one.kind.startswith("aws:")
        for problem in wrong(one.kind, one.inputs)
    ]
    assert found == []


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_are_such_as_ec2_takes(graphs: dict[str, Captured], name: str) -> None:
    for one in graphs[name].resources.values():
        described = one.inputs.get("description")
        assert described is None or DESCRIBED.fullmatch(described), short(one.urn)


@pytest.mark.parametrize("name", NAMES)
def test_user_data_is_no_longer_than_ec2_takes(graphs: dict[str, Captured], name: str) -> None:
    for template in graphs[name].of("aws:ec2/launchTemplate:LaunchTemplate"):
        assert len(base64.b64decode(template.inputs["userData"])) <= LONGEST


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("aws:ec2/vpc:Vpc", {"cidrBlok": "10.0.0.0/16"}, "no such member"),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"metadataOptions": {"httpTokens": "must"}},
         "expected one of"),
        ("aws:autoscaling/group:Group", {"minSize": "two"}, "whole number"),
        ("aws:secretsmanager/secret:Secret", {"description": "x" * 3000}, "characters"),
        ("aws:ec2/launchTemplate:LaunchTemplate", {"imageId": 5}, "a text"),
    ],
)  # fmt: skip
def test_what_the_api_does_not_take_is_found(
    kind: str, inputs: dict[str, object], words: str
) -> None:
    (problem,) = wrong(kind, inputs)
    assert words in problem


def test_nothing_is_passed_over_that_is_never_declared(graphs: dict[str, Captured]) -> None:
    declared: dict[str, set[str]] = {}
    for found in graphs.values():
        for one in found.resources.values():
            declared.setdefault(one.kind.rpartition(":")[2], set()).update(one.inputs)
    assert {kind.rpartition(":")[2] for kind in SHAPES} <= set(declared)
    for kind, names in PROVIDERS_OWN.items():
        assert set(names) <= declared[kind], kind
