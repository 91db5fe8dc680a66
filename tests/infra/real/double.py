"""A provider plugin that plays AWS for the real engine: `python -m tests.infra.real.double`.

The engine speaks to it as to pulumi-aws, by the same protocol: it keeps what is made as files,
compares, and answers what the program reads. Two files beside them say how it behaves by kind:
`errors.json` (what the cloud says instead of making one) and `seconds.json` (how long it takes).

Its limits: it knows no API. It checks no input, so whatever is declared is taken; what forces a
replacement is the short list below, not pulumi-aws's; what it computes is made up
(`tests.infra.answers`). So it shows what the engine does with our program, and never that AWS would
take it.
"""

# The methods' names are those of the protocol.
# ruff: noqa: N802

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.infra.answers import invoked, outputs_of

FOLDER = "LLMOPS_TEST_CLOUD"
"""Environment variable: where objects are kept."""
MOST_BYTES = 64 * 2**20

REPLACED_BY: Mapping[str, frozenset[str]] = {
    "aws:ec2/vpc:Vpc": frozenset({"cidrBlock"}),
    "aws:ec2/subnet:Subnet": frozenset({"availabilityZone", "cidrBlock", "vpcId"}),
    "aws:ec2/instance:Instance": frozenset({"launchTemplate"}),
    "aws:ec2/networkInterface:NetworkInterface": frozenset({"subnetId"}),
}
"""Properties that cannot be changed in place, of the kinds where the tests need it."""


class Cloud:
    """Objects as files: one by id, with what it was made of."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._folder = folder
        self._objects.mkdir(parents=True, exist_ok=True)

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in sorted(self._objects.glob("*.json"))]

    def read(self, name: str) -> dict[str, Any] | None:
        file = self._objects / f"{name}.json"
        found: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
        return found

    def write(self, name: str, kind: str, urn: str, inputs: dict[str, Any]) -> None:
        made = {"id": name, "kind": kind, "urn": urn, "inputs": inputs}
        part = self._objects / f".{name}.{os.getpid()}"
        part.write_text(json.dumps(made))
        part.replace(self._objects / f"{name}.json")

    def remove(self, name: str) -> None:
        (self._objects / f"{name}.json").unlink(missing_ok=True)

    def behave(self, kind: str) -> str:
        """Take the time that a kind takes; what the cloud says against it, empty for nothing."""
        time.sleep(float(self._said("seconds.json").get(kind, 0)))
        return str(self._said("errors.json").get(kind, ""))

    def _said(self, name: str) -> dict[str, Any]:
        file = self._folder / name
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """What the engine asks of a provider."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.0")

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=False)

    def Invoke(self, request: Any, context: Any) -> Any:
        answer = provider_pb2.InvokeResponse()
        found = invoked(request.tok, json_format.MessageToDict(request.args))
        getattr(answer, "return").update(found)
        return answer

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = (json_format.MessageToDict(one) for one in (request.old_inputs, request.news))
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        forced = REPLACED_BY.get(_kind(request.urn), frozenset())
        kinds = provider_pb2.DiffResponse
        return provider_pb2.DiffResponse(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key in forced],
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = json_format.MessageToDict(request.properties)
        kind = _kind(request.urn)
        if said := self._cloud.behave(kind):
            context.abort(grpc.StatusCode.UNKNOWN, said)
        made = f"{_name(request.urn)}-{uuid.uuid4().hex[:8]}"
        self._cloud.write(made, kind, request.urn, inputs)
        answer = provider_pb2.CreateResponse(id=made)
        answer.properties.update(_state(kind, request.urn, inputs))
        return answer

    def Read(self, request: Any, context: Any) -> Any:
        found = self._cloud.read(request.id)
        answer = provider_pb2.ReadResponse(id=request.id if found else "")
        if found:
            answer.inputs.update(found["inputs"])
            answer.properties.update(_state(found["kind"], request.urn, found["inputs"]))
        return answer

    def Update(self, request: Any, context: Any) -> Any:
        inputs, kind = json_format.MessageToDict(request.news), _kind(request.urn)
        if said := self._cloud.behave(kind):
            context.abort(grpc.StatusCode.UNKNOWN, said)
        self._cloud.write(request.id, kind, request.urn, inputs)
        answer = provider_pb2.UpdateResponse()
        answer.properties.update(_state(kind, request.urn, inputs))
        return answer

    def Delete(self, request: Any, context: Any) -> Any:
        self._cloud.behave(_kind(request.urn))
        self._cloud.remove(request.id)
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def _kind(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _state(kind: str, urn: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {**inputs, **outputs_of(kind, _name(urn), inputs)}


def main() -> None:
    """Serve on loopback, and tell the engine the port."""
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16),
        options=[("grpc.max_receive_message_length", MOST_BYTES)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        Provider(Cloud(Path(os.environ[FOLDER]))), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
