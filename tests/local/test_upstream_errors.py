"""What a replica raises comes over gRPC as it was raised, and over Ray in a wrapping: it is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from serving.gateway import ReleaseRef, UpstreamGone, UpstreamRequest
from serving.runtime.dying import EngineDiedError
from serving.runtime.gateway_app import ServeUpstream

RELEASE = ReleaseRef("tiny", 1)
REQUEST = UpstreamRequest("POST", "/v1/completions", [], b"{}", "req-1")
HEAD = (200, [("content-type", "text/event-stream")])
EVENT = b"data: {}\n\n"


class Pieces:
    """What a handle gives: pieces, then an error."""

    def __init__(self, pieces: list[Any], error: Exception) -> None:
        self._pieces, self._error = pieces, error
        self.cancelled = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Any:
        if self._pieces:
            return self._pieces.pop(0)
        raise self._error

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def remote(self, *_: object) -> Pieces:
        return self._pieces


def wrapped(error: Exception) -> Exception:
    made: Exception = RayTaskError("handle", "", error)
    return made


def plain(error: Exception) -> Exception:
    return error


def upstream(folder: Path, *pieces: Any, error: Exception) -> ServeUpstream:
    made = ServeUpstream(folder)
    made._handles["tiny-r1"] = Handle(Pieces(list(pieces), error))
    return made


@pytest.mark.parametrize("comes", [plain, wrapped])
async def test_a_request_whose_engine_died_first_may_go_to_another_replica(
    tmp_path: Path, comes: Callable[[Exception], Exception]
) -> None:
    with pytest.raises(UpstreamGone) as raised:
        await upstream(tmp_path, error=comes(EngineDiedError("d-1"))).send(RELEASE, REQUEST)
    assert raised.value.died == "d-1"


@pytest.mark.parametrize("comes", [plain, wrapped])
async def test_a_replica_that_fails_at_a_request_is_not_asked_again(
    tmp_path: Path, comes: Callable[[Exception], Exception]
) -> None:
    with pytest.raises((ValueError, RayTaskError)):
        await upstream(tmp_path, error=comes(ValueError("no"))).send(RELEASE, REQUEST)


@pytest.mark.parametrize("comes", [plain, wrapped])
@pytest.mark.parametrize("error", [ValueError("no"), EngineDiedError("d-1")])
@pytest.mark.parametrize("pieces", [[(*HEAD, b""), EVENT], [(*HEAD, EVENT)]], ids=len)
async def test_an_answer_that_fails_midway_is_one_that_was_cut(
    tmp_path: Path,
    pieces: list[Any],
    error: Exception,
    comes: Callable[[Exception], Exception],
) -> None:
    made = upstream(tmp_path, *pieces, error=comes(error))
    answer = await made.send(RELEASE, REQUEST)
    assert await anext(answer.body) == EVENT
    with pytest.raises(UpstreamGone):
        await anext(answer.body)
