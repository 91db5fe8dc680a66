"""A Pulumi program run by the SDK's own language server, against an engine that only listens.

The SDK does everything that it does under `pulumi up` but for what the engine does with it: names,
parents, dependencies, secrets and aliases are what it sends over the wire. What this does not
prove: that the engine and the provider take it, and that AWS does. No resource is made, no
difference to an earlier state is reckoned, and what a provider would answer is made up (`answers`).
"""

# The methods' names are those of the protocol.
# ruff: noqa: N802

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format  # type: ignore[import-untyped]
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from tests.infra.answers import invoked, outputs_of

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
FEATURES = ("secrets", "resourceReferences", "aliasSpecs")
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Registered:
    """A resource as the SDK sent it."""

    urn: str
    kind: str
    name: str
    parent: str
    custom: bool
    inputs: dict[str, Any]
    dependencies: tuple[str, ...]
    protect: bool
    delete_first: bool
    aliases: tuple[str, ...]
    provider: str


@dataclass(slots=True)
class Captured:
    """What one run of a program sent."""

    resources: dict[str, Registered] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    invokes: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    error: str = ""

    def of(self, kind: str) -> list[Registered]:
        """The resources of a kind."""
        return [one for one in self.resources.values() if one.kind == kind]

    def named(self, kind: str, name: str) -> Registered:
        """The one resource of a kind and name."""
        (found,) = [one for one in self.of(kind) if one.name == name]
        return found


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, captured: Captured, stack: str, *, preview: bool) -> None:
        self._captured, self._stack, self._preview = captured, stack, preview

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in FEATURES)

    def RegisterResource(self, request: Any, context: Any) -> Any:
        urn = self._urn(request)
        made = Registered(
            urn=urn,
            kind=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            inputs=json_format.MessageToDict(request.object),
            dependencies=tuple(sorted(request.dependencies)),
            protect=request.protect,
            delete_first=request.deleteBeforeReplace,
            aliases=tuple(alias.spec.name for alias in request.aliases),
            provider=request.provider.rpartition("::")[0],
        )
        assert urn not in self._captured.resources, f"{urn} is declared twice"
        self._captured.resources[urn] = made
        answer = resource_pb2.RegisterResourceResponse(urn=urn)
        if request.custom and not self._preview:
            answer.id = f"{request.name}-id"
        answer.object.update(made.inputs)
        if request.custom and not self._preview:
            answer.object.update(outputs_of(made.kind, made.name, made.inputs))
        return answer

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        if "pulumi:pulumi:Stack" in request.urn:
            self._captured.outputs = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        self._captured.invokes.append(request.tok)
        answer = provider_pb2.InvokeResponse()
        found = invoked(request.tok, json_format.MessageToDict(request.args))
        getattr(answer, "return").update(found)
        return answer

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _urn(self, request: Any) -> str:
        above = request.parent.split("::")[2] if request.parent else ""
        kind = f"{above}${request.type}" if above and "Stack" not in above else request.type
        return f"urn:pulumi:{self._stack}::llmops::{kind}::{request.name}"


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self, captured: Captured) -> None:
        self._captured, self._root = captured, ""

    def Log(self, request: Any, context: Any) -> Any:
        self._captured.logs.append(request.message)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> Any:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()


def capture(
    program: Callable[[], None],
    *,
    stack: str = "chat-us-east-1",
    preview: bool = False,
    config: Mapping[str, str] | None = None,
) -> Captured:
    """Run a program, and take down what it declares."""
    captured = Captured()
    with _served(captured, stack, preview=preview) as address:
        request = language_pb2.RunRequest(
            project="llmops", stack=stack, args=[address], monitor_address=address,
            dryRun=preview, parallel=8, config=dict(config or {}),
        )  # fmt: skip
        server: Any = LanguageServer(program)
        captured.error = server.Run(request, None).error
    return captured


@contextmanager
def _served(captured: Captured, stack: str, *, preview: bool) -> Iterator[str]:
    server = grpc.server(
        ThreadPoolExecutor(max_workers=8),
        options=[("grpc.max_receive_message_length", MOST_BYTES)],
    )
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(
        _Monitor(captured, stack, preview=preview), server
    )
    engine_pb2_grpc.add_EngineServicer_to_server(_Engine(captured), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
