"""A gateway with one defence off is found out, each by the check that is for it; one with all is
clean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.auditing.conftest import MakesStage
from tests.auditing.stage import ids, local, one, served


def test_a_gateway_with_all_defences_is_clean(make_stage: MakesStage) -> None:
    report = make_stage().served()
    assert [f"{f.id}: {f.message}: {f.proof}" for f in report.findings] == []
    assert report.made > 30


@pytest.mark.parametrize(
    ("defence", "identifier", "proof"),
    [
        ("keys", "audit.anonymous", "POST /v1/completions"),
        ("keys", "audit.wrong-key", "GET /v1/models"),
        ("allowlist", "audit.routes", "/openapi.json"),
        ("rate", "audit.limits.requests", "Authorization: Bearer <key audit-"),
        ("body", "audit.body", "200"),
        ("fields", "audit.fields", "prompt_embeds"),
        ("choices", "audit.choices", '"n": 5'),
        ("tokens", "audit.max-tokens", '"max_tokens": 101'),
        ("media", "audit.media", "image_url"),
        ("schemas", "audit.schemas", "response_format"),
        ("templates", "audit.templates", "200"),
        ("isolation", "audit.isolation", '"model": "other"'),
    ],
)  # fmt: skip
def test_a_defence_that_is_off_is_found(
    make_stage: MakesStage, defence: str, identifier: str, proof: str
) -> None:
    stage = make_stage(defence)
    report = stage.served(identifier)
    found = one(report, identifier)
    assert found.blocks
    assert proof in found.proof
    assert ids(report) == {identifier}


def test_behind_a_proxy_what_it_reads_first_is_told_as_unchecked(make_stage: MakesStage) -> None:
    stage = make_stage()
    with served(stage.gate.app) as port:
        report = stage.audit(replace(local(port), proxied=True))
    assert report.found == ()
    told = {finding.message for finding in report.unchecked}
    assert "not checked: bodies whose length is told twice" in told
    assert "not checked: paths in other spellings" in told
    assert report.made >= 20
