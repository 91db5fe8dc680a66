"""A process group of torch that opens no port: its workers meet in a file.

Ray Train's own backend starts a TCPStore, which listens on every interface and asks for nothing.
The workers of a training on one machine share a private folder, so they meet there instead, and
gloo is told to use the loopback interface. On several machines this does not serve.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _TorchBackend

PATIENCE = timedelta(minutes=30)
"""How long a worker waits for another in one exchange."""


def join(store: str, rank: int, workers: int, backend: str) -> None:
    """Make this process a member of the group that meets in the file `store`."""
    from torch import distributed

    meet = distributed.FileStore(store, workers)
    distributed.init_process_group(
        backend, store=meet, rank=rank, world_size=workers, timeout=PATIENCE
    )


def environment(rank: int, workers: int) -> dict[str, str]:
    """What libraries read of a group, beside what Ray Train sets."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(workers),
        "LOCAL_WORLD_SIZE": str(workers), "GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1",
    }  # fmt: skip


def _enter(store: str, rank: int, workers: int, backend: str) -> None:
    os.environ.update(environment(rank, workers))
    join(store, rank, workers, backend)


class _FileBackend(_TorchBackend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: FileTorchConfig) -> None:
        import ray

        workers = len(worker_group)
        if workers == 1:
            return  # alone it needs no group, and libraries must not look for one
        worker_group.execute(_set_torch_distributed_env_vars)
        store = str(Path(backend_config.folder) / f"store-{uuid.uuid4().hex}")
        backend = backend_config.backend or "gloo"
        ray.get(
            [
                # By position: the method's own first argument is called rank as well.
                worker_group.execute_single_async(rank, _enter, store, rank, workers, backend)
                for rank in range(workers)
            ]
        )


@dataclass
class FileTorchConfig(TorchConfig):  # type: ignore[misc]
    """Ray Train's configuration of torch, with workers that meet in a file of this folder."""

    folder: str = ""

    @property
    def backend_cls(self) -> type[_FileBackend]:
        return _FileBackend
