"""The program under Pulumi's own mocks, in a preview and not: its outputs and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, settings

from infra.program import program
from llmops.errors import TargetError
from llmops.planning import make_plan
from llmops.spec import Deployment
from tests.infra.answers import invoked, outputs_of
from tests.infra.making import deployment, facts, files, planned


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        made = outputs_of(args.typ, args.name, args.inputs) if ":" in args.typ else {}
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return invoked(args.token, args.args), None


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Mocks are kept in the SDK's globals: what is set here must not outlive the test.

    The SDK also takes the thread's event loop, which an earlier test may have closed.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    settings.reset_options()
    asyncio.set_event_loop(None)
    loop.close()


def _outputs(
    monkeypatch: pytest.MonkeyPatch, made: Deployment, folder: Path, *, preview: bool
) -> dict[str, Any]:
    """What the program exports under mocks; None is what is not known yet."""
    exported: dict[str, pulumi.Output[Any]] = {}
    known: dict[str, Any] = {}
    monkeypatch.setattr(
        pulumi,
        "export",
        lambda name, value: exported.update({name: pulumi.Output.from_input(value)}),
    )
    mocks.set_mocks(_Mocks(), project="llmops", stack="chat-us-east-1", preview=preview)

    @pulumi.runtime.test  # type: ignore[attr-defined,untyped-decorator,unused-ignore]
    def run() -> Any:
        program(made, planned(made), files(folder))
        return pulumi.Output.all(**exported).apply(known.update)

    run()
    return known


@pytest.mark.parametrize("preview", [True, False])
def test_the_outputs_say_where_everything_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, preview: bool
) -> None:
    known = _outputs(monkeypatch, deployment(), tmp_path, preview=preview)
    assert known["region"] == "us-east-1"
    assert known["machine"] == "g6.xlarge"
    assert known["usd_per_hour"] == pytest.approx(1.0064)
    assert known["endpoint"] == ""
    assert known["store"] == "s3://llmops-store-0a1b2c3/llmops"
    assert known["head"] == "head-id"


def test_the_endpoint_is_the_hostname_of_its_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d"
    made = deployment(endpoint={"certificate": certificate, "hostname": "chat.example.com"})
    known = _outputs(monkeypatch, made, tmp_path, preview=False)
    assert known["endpoint"] == "https://chat.example.com/v1"
    assert known["balancer"].endswith(".amazonaws.com")


def test_a_plan_that_knows_no_zones_makes_nothing(tmp_path: Path) -> None:
    made = deployment()
    plan = make_plan(made, facts(made, ()))
    with pytest.raises(TargetError, match=r"which zones of us-east-1 offer g6\.xlarge"):
        program(made, plan, files(tmp_path))
