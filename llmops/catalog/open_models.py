"""The catalogue of open models: what each is, may be used for, and where that was read.

A short list of well-known models over the tasks that people serve, to choose among, not a register.
A figure that was not published, or not found, is absent: there is no quality without a benchmark's
name and source. What is stated and could not be read anywhere is named in `unconfirmed`. Nothing
here ranks models or looks one up on a hub.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from llmops.catalog.form import Day
from llmops.spec import Section
from llmops.units import Bytes

FILES = Path(__file__).with_name("data") / "models"
"""The shipped files."""

Task = Literal[
    "generation",
    "chat",
    "summarisation",
    "translation",
    "classification",
    "extraction",
    "embedding",
]
"""What a model is to do. `generation` continues or follows a text, `chat` converses, `extraction`
finds names, dates and fields in a text."""

Kind = Literal["decoder-only", "encoder-decoder", "encoder-only"]

Use = Literal["permissive", "conditional", "non-commercial"]
"""What a licence lets a company do: anything (Apache, MIT); business under the maker's conditions;
no business."""

Served = Literal["in-tree", "transformers", "plugin", "none"]
"""How vLLM 0.32 serves a class: by code of its own, through transformers' code, with a plugin that
is not part of it, or not at all (its model_executor/models/registry.py)."""

Stated = Literal["licence", "gated", "context", "languages", "active", "checkpoint"]
"""What an entry says because somebody wrote it; parameters are counted."""

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class Origin(Section):
    """Where figures were read."""

    title: Annotated[str, Field(min_length=1)]
    """What it is called, and whose it is."""

    url: Annotated[str, Field(pattern=r"^https://[^\s]+$")]
    """Where it can be read."""

    date: Day
    """The day of the version that was read; where nobody can tell, the day on which it was read."""


class Licence(Section):
    """Under what the weights are given."""

    name: Name
    """Its SPDX name, or what its maker calls it."""

    use: Use
    """What it lets a company do."""


class Languages(Section):
    """Which languages a model's makers say it knows."""

    count: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many, where they say so; absent when `listed` is all of them."""

    listed: Annotated[tuple[Language, ...], Field(strict=False, min_length=1)]
    """Some or all of them, as ISO 639 codes."""


class Quality(Section):
    """A published score."""

    benchmark: Name
    """Its name, and how it was run."""

    value: float
    """The score, on the benchmark's own scale."""

    cited: Name
    """The id of its source."""


class OpenModel(Section):
    """A model whose weights can be had."""

    source: Annotated[str, Field(pattern=r"^hf://[\w.-]+/[\w.-]+$")]
    """What `model.source` of llmops.yaml is to be."""

    model_type: Name
    """As in its config.json."""

    kind: Kind
    """Its architecture."""

    architecture: Name
    """The class that its config.json names."""

    tuned: dict[Task, Name] = Field(default_factory=dict)
    """The class it has once fine-tuned for a task; tasks that are not here it does as it is."""

    vllm: Served
    """How vLLM serves the class that does the task."""

    parameters: Annotated[int, Field(ge=1, le=10**13)]
    """All of them."""

    active: Annotated[int, Field(ge=1, le=10**13)] | None = None
    """Those that one token passes, for a mixture of experts."""

    checkpoint: Bytes | None = None
    """Size of the published weights, where they are not 16 bits a parameter."""

    licence: Licence

    gated: bool
    """Whether one has to accept terms on the hub before it can be fetched."""

    context: Annotated[int, Field(ge=1, le=10**8)] | None = None
    """Longest text in tokens; absent where its makers do not say."""

    languages: Languages

    tasks: Annotated[tuple[Task, ...], Field(strict=False, min_length=1)]
    """What it was made for or is used for with success."""

    quality: Annotated[tuple[Quality, ...], Field(strict=False)] = ()
    """Published scores; most are absent, since scores of different makers do not compare."""

    note: str = ""
    """What else to know, in a few words."""

    cited: Name
    """The id of the source of all of it but the scores and what `also` names."""

    also: dict[Stated, Name] = Field(default_factory=dict)
    """Ids of the sources of single statements, where `cited` does not say them."""

    unconfirmed: Annotated[tuple[Stated, ...], Field(strict=False)] = ()
    """Statements of which no source could be read: whoever shows the model says so."""

    @property
    def passed(self) -> int:
        """Parameters that one token passes."""
        return self.active or self.parameters

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as they are served: as published, or 16 bits a parameter."""
        return int(self.checkpoint) if self.checkpoint else 2 * self.parameters


class ModelsFile(Section):
    """A file of the catalogue of models."""

    sources: dict[str, Origin]
    """By their ids."""

    models: dict[Name, OpenModel]
    """By name."""


@cache
def open_models() -> dict[str, OpenModel]:
    """The shipped models, by name.

    Raises:
        ValidationError: When a shipped file is wrong; a test reads them all.
        ValueError: When two files name one model, a source is missing, or what is unconfirmed is
            not stated or has a source.
    """
    found: dict[str, OpenModel] = {}
    for path, file in _files():
        for name, model in file.models.items():
            _check(path, name, model, file, found)
            found[name] = model
    return found


@cache
def origins() -> dict[str, Origin]:
    """The sources of all shipped models, by their ids."""
    return {name: origin for _, file in _files() for name, origin in file.sources.items()}


@cache
def _files() -> tuple[tuple[Path, ModelsFile], ...]:
    paths = sorted(FILES.glob("*.yaml"))
    return tuple((path, ModelsFile.model_validate(_read(path))) for path in paths)


def _check(
    path: Path, name: str, model: OpenModel, file: ModelsFile, found: dict[str, OpenModel]
) -> None:
    if name in found:
        raise ValueError(f"{path.name}: {name} is in another file already")
    for cited in (model.cited, *model.also.values(), *(score.cited for score in model.quality)):
        if cited not in file.sources:
            raise ValueError(f"{path.name}: {name} cites '{cited}', which is no source of the file")
    for stated in (*model.also, *model.unconfirmed):
        if getattr(model, stated) is None:
            raise ValueError(f"{path.name}: {name} has no {stated} that could be confirmed or not")
    if both := model.also.keys() & set(model.unconfirmed):
        raise ValueError(f"{path.name}: {name} cites a source of what is unconfirmed: {both}")
    if set(model.tuned) - set(model.tasks):
        raise ValueError(f"{path.name}: {name} is tuned for a task that is not among its own")


def _read(path: Path) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open("rb") as file:
        return yaml.load(file, loader)  # noqa: S506 - one of the two safe loaders


__all__ = ["Kind", "OpenModel", "Origin", "Stated", "Task", "Use", "open_models", "origins"]
