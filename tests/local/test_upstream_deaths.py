"""What the gateway is told of a replica that was lost: whether a request may be the reason."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray import ActorID
from ray.exceptions import ActorUnavailableError, RayTaskError, TaskCancelledError

from serving.gateway import ReleaseRef, UpstreamGone, UpstreamRequest
from serving.runtime import gateway_app
from serving.runtime.dying import EngineAwayError, EngineDiedError
from serving.runtime.gateway_app import ServeUpstream

ACTOR = ActorID.from_random()
OTHER = ActorID.from_random()
LOST = ActorUnavailableError("gone", ACTOR.binary())


class Pieces:
    """An answer of a replica that ends with an error, as Serve's generator is one."""

    def __init__(self, error: Exception, actor: ActorID = ACTOR) -> None:
        self._replica_result = SimpleNamespace(_actor_id=actor)
        self._error = error
        self.cancelled = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Any:
        raise self._error

    def cancel(self) -> None:
        self.cancelled = True


async def died(folder: Path, error: Exception, actor: ActorID = ACTOR) -> str:
    """The death that is told when an answer ends so."""
    pieces = Pieces(error, actor)
    with pytest.raises(UpstreamGone) as gone:
        async for _ in ServeUpstream(folder)._body(pieces):
            pass
    assert pieces.cancelled
    return gone.value.died


def task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("handle", "traceback", cause)


async def test_a_replica_that_was_killed_died_of_no_request(tmp_path: Path) -> None:
    (tmp_path / ACTOR.hex()).touch()
    assert await died(tmp_path, LOST) == ""


async def test_a_replica_that_crashed_may_have_died_of_one(tmp_path: Path) -> None:
    (tmp_path / ACTOR.hex()).write_text("Fatal Python error: Segmentation fault")
    assert await died(tmp_path, LOST) == ACTOR.hex()
    broken = AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata())
    assert await died(tmp_path, broken) == ACTOR.hex(), "gRPC's own words for it"


async def test_of_a_replica_elsewhere_it_may_be_so(tmp_path: Path) -> None:
    assert await died(tmp_path, LOST, OTHER) == OTHER.hex()


async def test_an_engine_says_itself_what_it_died_of(tmp_path: Path) -> None:
    assert await died(tmp_path, task_error(EngineDiedError("one"))) == "one"
    assert await died(tmp_path, task_error(EngineDiedError(""))) == ""


class Handle:
    """A handle whose replica's engine is dead so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked = 0

    def remote(self, *_: object) -> Pieces:
        self.asked += 1
        self.left -= 1
        # As it comes from another process.
        away: Exception = pickle.loads(pickle.dumps(EngineAwayError()))
        return Pieces(away if self.left >= 0 else LOST)


@pytest.mark.parametrize(("times", "within", "asked"), [(3, 10.0, 4), (9, 0.0, 1)])
async def test_a_replica_whose_engine_was_dead_before_is_not_counted_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, within: float, asked: int
) -> None:
    monkeypatch.setattr(gateway_app, "AGAIN", 0.001)
    monkeypatch.setattr(gateway_app, "AWAY", within)
    upstream, handle = ServeUpstream(tmp_path), Handle(times)
    upstream._handles["tiny-r1"] = handle
    request = UpstreamRequest("POST", "/v1/completions", [], b"{}", "req-1")
    with pytest.raises(UpstreamGone):
        await upstream.send(ReleaseRef("tiny", 1), request)
    assert handle.asked == asked


@pytest.mark.parametrize("error", [task_error(ValueError()), TaskCancelledError()])
async def test_what_is_no_death_is_none(tmp_path: Path, error: Exception) -> None:
    assert await died(tmp_path, error) == ""
