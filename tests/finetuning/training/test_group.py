"""How workers are told to meet: by Ray's own method, whose argument names must not meet ours."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest


class Group:
    """A worker group that takes calls as Ray's does, and runs nothing."""

    def __init__(self, signature: inspect.Signature) -> None:
        self._signature = signature
        self.calls: list[tuple[int, tuple[Any, ...]]] = []

    def __len__(self) -> int:
        return 2

    def execute(self, *_: Any) -> None:
        pass

    def execute_single_async(self, *args: Any, **named: Any) -> None:
        bound = self._signature.bind(self, *args, **named).arguments
        inspect.signature(bound["fn"]).bind(*bound.get("fn_args", ()))
        self.calls.append((bound["rank"], tuple(bound.get("fn_args", ()))))


def test_each_worker_is_told_its_own_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray.train.v2._internal.execution.worker_group.execution_group import ExecutionGroup

    from serving.finetune.training.group import FileTorchConfig, _FileBackend

    monkeypatch.setattr(ray, "get", lambda _: None)
    group = Group(inspect.signature(ExecutionGroup.execute_single_async))
    _FileBackend().on_start(group, FileTorchConfig(backend="gloo", folder=str(tmp_path)))
    assert [rank for rank, _ in group.calls] == [0, 1]
    for rank, (store, own, workers, backend) in group.calls:
        assert (own, workers, backend) == (rank, 2, "gloo")
        assert str(store).startswith(str(tmp_path))
    assert len({args[0] for _, args in group.calls}) == 1, "they would never meet"
