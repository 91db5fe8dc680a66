"""`llmops recommend`: which architecture and which open model for a task, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from llmops.recommend import Gpu

NAME = "recommend"


class Task(StrEnum):
    """What a model is to do."""

    GENERATION = "generation"
    CHAT = "chat"
    SUMMARISATION = "summarisation"
    TRANSLATION = "translation"
    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    EMBEDDING = "embedding"


class Licence(StrEnum):
    """Which licences will do."""

    ANY = "any"
    COMMERCIAL = "commercial"
    PERMISSIVE = "permissive"


class Latency(StrEnum):
    """How quickly answers must come."""

    NORMAL = "normal"
    LOW = "low"


class Volume(StrEnum):
    """How many requests there are."""

    NORMAL = "normal"
    HIGH = "high"


def command(
    task: Annotated[Task, typer.Option("--task", help="What the model is to do.")],
    examples: Annotated[
        int | None, typer.Option("--examples", help="Labelled examples that you have.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", help="US dollars an hour at most.")
    ] = None,
    gpu: Annotated[
        str, typer.Option("--gpu", help="The GPU there is, as the catalogue calls it: L4.")
    ] = "",
    gpus: Annotated[int, typer.Option("--gpus", help="How many of it.")] = 1,
    licence: Annotated[
        Licence, typer.Option("--licence", help="Which licences will do.")
    ] = Licence.COMMERCIAL,
    context: Annotated[
        int | None, typer.Option("--context", help="Tokens of the longest text with its answer.")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="ISO 639 code of a language; give it again for more."),
    ] = None,
    latency: Annotated[
        Latency, typer.Option("--latency", help="low: answers must begin and flow quickly.")
    ] = Latency.NORMAL,
    volume: Annotated[
        Volume, typer.Option("--volume", help="high: the cost of each request counts.")
    ] = Volume.NORMAL,
    output: Output = Format.TEXT,
) -> None:
    """Choose an architecture and an open model for a task, with reasons; nothing is fetched."""
    from cli.output import print_data
    from cli.recommendations import print_recommendation
    from llmops.catalog import load_catalogue, open_models
    from llmops.errors import InputError
    from llmops.recommend import Request, cheapest, recommend, recommendation_document

    if gpus != 1 and not gpu:
        raise InputError(
            f"--gpus is {gpus}, and nothing says of which GPU", hint="add --gpu, such as --gpu L4"
        )
    device = _device(gpu, gpus) if gpu else None
    request = Request(
        task=task.value,
        budget=budget,
        gpu=device,
        licence=licence.value,
        context=context,
        languages=tuple(language or ()),
        examples=examples,
        latency=latency.value,
        volume=volume.value,
    )
    cost = cheapest(load_catalogue(), device)
    found = recommend(request, catalogue=open_models(), cost=cost)
    if output is Format.TEXT:
        print_recommendation(found)
    else:
        print_data(recommendation_document(found), output)


def _device(name: str, count: int) -> Gpu:
    from llmops.catalog import accelerators_called, load_catalogue
    from llmops.errors import InputError
    from llmops.recommend import Gpu

    accelerator = accelerators_called(load_catalogue(), name)[0]
    memory = accelerator.planned()
    if memory is None:
        raise InputError(
            f"the catalogue does not know how much memory {accelerator.name} has",
            hint="name a GPU: llmops catalog list --kind accelerators",
        )
    return Gpu(accelerator.name, memory, count)
