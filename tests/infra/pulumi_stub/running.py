"""Has the program itself be run, and tells what it declares as an engine would that makes it all.

The program is run by the language server that the Automation API has begun; what it declares comes
over the wire, as to a real engine. Nothing is compared with what there was before but the names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tests.infra.capturing import Captured, Registered, _served
from tests.infra.pulumi_stub.backend import Stack, fail

Event = dict[str, Any]


def declared(client: str, stack: Stack, *, planning: bool) -> list[Event]:
    """The events of making everything that the program declares, for the first time."""
    captured = Captured()
    with _served(captured, stack.name, preview=planning) as address:
        request = language_pb2.RunRequest(
            project=stack.project, stack=stack.name, args=[address], monitor_address=address,
            dryRun=planning, parallel=8,
        )  # fmt: skip
        channel = grpc.insecure_channel(client)
        answer = language_pb2_grpc.LanguageRuntimeStub(channel).Run(request)
    if answer.error:
        fail(f"an unhandled error occurred: program failed: {answer.error.splitlines()[0]}")
    return list(_events(captured))


def _events(captured: Captured) -> Iterator[Event]:
    yield {"preludeEvent": {"config": {}}}
    for one in captured.resources.values():
        step = _step(one, captured)
        yield {"resourcePreEvent": {"metadata": step}}
        yield {"resOutputsEvent": {"metadata": step}}


def _step(one: Registered, captured: Captured) -> Event:
    new: Event = {"type": one.kind, "urn": one.urn, "custom": one.custom, "parent": one.parent}
    new |= {"id": f"{one.name}-id" if one.custom else "", "inputs": {}}
    if one.protect:
        new["protect"] = True
    if one.kind == "pulumi:pulumi:Stack":
        new["outputs"] = captured.outputs
    return {"op": "create", "urn": one.urn, "type": one.kind, "provider": "", "new": new}


__all__ = ["declared"]
