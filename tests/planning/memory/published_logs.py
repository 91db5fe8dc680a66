"""Our figures beside those of start-up logs that others published, one row for each term.

Pure but for reading the cases in tests/cases/gpu_memory. A script of the docs prints the rows as a
table; test_gpu.py holds them to bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llmops.planning import quantisation
from llmops.planning.architecture import Fields, Profile
from llmops.planning.architecture.families import READERS
from llmops.planning.memory import gpu
from llmops.planning.memory.cache import CacheSettings, Pool, pool
from llmops.planning.memory.weights import Stored
from llmops.planning.model import Figure
from llmops.planning.parallel import Parallel

CASES = Path(__file__).parents[2] / "cases" / "gpu_memory"
MODELS = CASES.parent / "architectures"
BLOCK = 16
"""Tokens in a block of each of these logs."""

HOPPER = 90
"""Compute capability of the GPUs of quantised models' logs."""

ROUNDED = 0.005
"""GiB that a logged figure may be off: two digits are printed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One term of one log; bytes in GiB, the cache in tokens."""

    case: str
    what: str
    gpu: str
    engine: str
    term: str
    logged: float
    ours: float

    @property
    def error(self) -> float:
        """Percent that ours is above the logged figure."""
        return 100 * (self.ours / self.logged - 1)


@dataclass(frozen=True, slots=True)
class Log:
    """A case file, read."""

    name: str
    case: Mapping[str, Any]
    profile: Profile
    parallel: Parallel

    @classmethod
    def of(cls, path: Path) -> Log:
        """Read it, and the model that it is about."""
        case = yaml.safe_load(path.read_text())
        config = _config(case)
        profile = READERS[config["model_type"]](Fields(config))
        return cls(path.stem, case, profile, Parallel(case["tensor"], case["pipeline"]))

    @property
    def logged(self) -> Mapping[str, float]:
        """What the engine logged."""
        found: Mapping[str, float] = self.case["logged"]
        return found

    def stored(self) -> Stored:
        """The weights as the engine holds them on a Hopper."""
        element, method = self.case["element"], quantisation.read(_config(self.case))
        if method is None:
            return Stored.of(self.profile, element)
        ranks = self.parallel.ranks
        return Stored.of(
            self.profile,
            element,
            lambda name, weight: method.padded(name, weight, element, ranks, HOPPER),
        )

    def whole(self) -> int:
        """Bytes of all weights, once."""
        return self.stored().total

    def weights(self) -> float:
        """GiB of weights on the fullest device, with what loading adds to them."""
        added = gpu.loading(self.profile, self.parallel, self.case["element"])
        return (max(self.stored().on(self.parallel)) + int(added.value)) / gpu.GIB

    def activations(self) -> float:
        """GiB of activations, pictures included."""
        tokens, element = self.case["tokens"], self.case["element"]
        run = gpu.activations(
            self.profile,
            self.parallel,
            element,
            tokens,
            self.case["sequences"],
            quantised=self.case.get("quantised", False),
            runner=self.case["runner"],
        )
        return _gib(run) + _gib(gpu.vision(self.profile, element, tokens))

    def graphs(self) -> float:
        """GiB set aside for CUDA graphs."""
        sequences, element = self.case["sequences"], self.case["element"]
        largest = self.case["largest_graph"]
        return _gib(
            gpu.graphs(self.profile, self.parallel, sequences, element=element, largest=largest)
        )

    @property
    def sets_graphs_aside(self) -> bool:
        """Whether the engine's version took graphs off the room for the cache (0.21 and later)."""
        version = str(self.case["engine"]).split()[-1].split(".")
        return (int(version[0]), int(version[1])) >= (0, 21)

    def outside(self) -> float:
        """GiB that are not torch's."""
        return _gib(gpu.outside(self.parallel))

    def pool(self) -> Pool:
        """How the engine keeps the cache."""
        settings = CacheSettings(
            element=self.case.get("kv_element", self.case["element"]),
            block=BLOCK,
            in_flight=self.case["tokens"],
            context=self.case["context"],
        )
        return pool(self.profile, self.parallel, settings)


def _config(case: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = case.get("config") or _published(case["model"])
    if "quantisation" in case:
        config = {**config, "quantization_config": case["quantisation"]}
    return config


def _published(model: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MODELS / f"{model}.yaml").read_text())["config"]
    return found


def _gib(figure: Figure) -> float:
    return float(figure.value) / gpu.GIB


def logs() -> Iterator[Log]:
    """All of them, by name."""
    for path in sorted(CASES.glob("*.yaml")):
        yield Log.of(path)


def rows(log: Log) -> Iterator[Row]:
    """Its terms that are logged, each beside ours.

    `need` is the sum of activations, graphs and what is not torch's; `before` is what was taken
    when the engine looked first; `kv_tokens` are those of as many blocks as it logged.
    """
    logged = log.logged
    ours = {
        "weights": log.weights(),
        "activations": log.activations(),
        "graphs": log.graphs(),
        "outside": log.outside(),
        "before": _gib(gpu.before(log.parallel)),
    }
    ours["activations_and_graphs"] = ours["activations"] + ours["graphs"]
    found = {term: logged[f"{term}_gib"] for term in ours if f"{term}_gib" in logged}
    found["before"] = log.case["device_gib"] - log.case["free_gib"]
    if "kv_blocks" in logged:
        made = log.pool()
        found["kv_tokens"] = logged["kv_tokens"]
        ours["kv_tokens"] = made.tokens(int(logged["kv_blocks"]) * made.bytes_per_block)
    needed = [term for term in ("activations", "graphs", "outside") if term in found]
    if len(needed) == 3:
        found["need"] = sum(found[term] for term in needed)
        ours["need"] = sum(ours[term] for term in needed)
    case = log.case
    for term, value in found.items():
        yield Row(log.name, case["what"], case["gpu"], case["engine"], term, value, ours[term])


def report() -> Iterator[Row]:
    """Every row of every log."""
    for log in logs():
        yield from rows(log)
