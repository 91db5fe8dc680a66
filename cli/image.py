"""`llmops image`: the image that pods run, built from the lock, and looked at in its registry."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Format, Output

if TYPE_CHECKING:
    from clusters.image import Built, Labels, Order

group = typer.Typer(
    help="Build the image that pods run, and check one in its registry.", no_args_is_help=True
)

DIFFERENT = 3
"""Exit code when the image is not for this llmops."""


class FlavourName(StrEnum):
    """What an image runs on."""

    CPU = "cpu"
    GPU = "gpu"


class BuilderName(StrEnum):
    """Who builds."""

    AUTO = "auto"
    BUILDAH = "buildah"
    PODMAN = "podman"
    DOCKER = "docker"


class PythonName(StrEnum):
    """Python's minor version in the image."""

    V311 = "3.11"
    V312 = "3.12"
    V313 = "3.13"


Flavour = Annotated[FlavourName, typer.Option("--flavour", help="For CPUs or for NVIDIA GPUs.")]
Base = Annotated[
    str,
    typer.Option(
        "--base",
        help="Base image with Python and bash, best with a digest. Default: Debian with Python.",
        metavar="IMAGE",
    ),
]
Python = Annotated[PythonName, typer.Option("--python", help="Python of the base.")]
Tag = Annotated[
    str,
    typer.Option(
        "--tag", help="Name of the image: registry.example.com/team/llmops:1.", metavar="IMAGE"
    ),
]
Push = Annotated[bool, typer.Option("--push", help="Push it to its registry.")]
Builder = Annotated[
    BuilderName, typer.Option("--builder", help="Who builds; auto takes what is there.")
]
OwnLock = Annotated[
    Path | None,
    typer.Option("--lock", help="A lock of your own in place of llmops' own.", metavar="FILE"),
]
PipConfig = Annotated[
    Path | None,
    typer.Option(
        "--pip-config",
        help="A pip.conf, with your mirror say, for the build only; no layer keeps it.",
        metavar="FILE",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--builder-option", help="An option for the builder; may be given again.", metavar="OPTION"
    ),
]
Print = Annotated[bool, typer.Option("--print", help="Print the Containerfile; build nothing.")]


@group.command("build")
def build(
    flavour: Flavour = FlavourName.CPU,
    base: Base = "",
    python: Python = PythonName.V312,
    tag: Tag = "",
    push: Push = False,
    builder: Builder = BuilderName.AUTO,
    lock: OwnLock = None,
    pip_config: PipConfig = None,
    option: Options = None,
    show: Print = False,
    output: Output = Format.TEXT,
) -> None:
    """Build the image of this llmops from its lock, and print its digest."""
    from cli.output import print_data, tell
    from clusters import image

    order = image.Order(
        flavour=image.Flavour(flavour),
        base=base,
        tag=tag,
        python=python,
        lock=image.parse_lock(_text(lock), lock.name) if lock else None,
        push=push,
        pip_config=_file(pip_config) if pip_config else None,
        options=tuple(option or ()),
    )
    if show:
        _show(order, output)
        return
    _warn_of_base(base)
    built = image.build(order, image.find_builder(builder), tell)
    if output is not Format.TEXT:
        print_data(_document(built), output)
        return
    _print_built(built)


@group.command("check")
def check(
    reference: Annotated[str, typer.Argument(help="Name of the image.", metavar="IMAGE")],
    flavour: Annotated[
        FlavourName | None,
        typer.Option(
            "--flavour", help="Flavour it should have. Default: the one that it says it has."
        ),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Read an image's labels in its registry, and compare them with this llmops."""
    from cli.output import print_data, tell
    from clusters import image
    from llmops import __version__

    labels = _labels(reference)
    has_gpu = labels.engine.startswith("vllm ")
    lock = image.read_lock(image.Flavour(flavour or ("gpu" if has_gpu else "cpu")))
    why = image.mismatch(labels, __version__, lock.engine)
    expected = {
        "version": __version__,
        "engine": lock.engine,
        "ray": lock.ray,
        "lock": lock.sha256,
    }
    if output is not Format.TEXT:
        document = {"image": reference, "matches": why is None, "reason": why or ""}
        print_data(document | {"labels": asdict(labels), "expected": expected}, output)
    else:
        _print_labels(asdict(labels), expected)
        tell(f"{labels.digest}: {why or 'made for this llmops'}")
    if why is not None:
        raise typer.Exit(DIFFERENT)


def _print_labels(found: dict[str, str], expected: dict[str, str]) -> None:
    from cli.output import print_table

    names = {"version": "llmops", "engine": "engine", "ray": "ray", "lock": "lock"}
    rows = [_row(what, found[name], expected[name]) for name, what in names.items()]
    rows += [_row(name, found[name], "") for name in ("python", "source")]
    print_table(("WHAT", "IMAGE", "THIS LLMOPS", ""), rows)


def _row(what: str, found: str, expected: str) -> tuple[str, str, str, str]:
    word = "" if not expected else "same" if found == expected else "differs"
    return what, found[:40] or "-", expected[:40], word


def _labels(reference: str) -> Labels:
    from clusters.image import Labels, read_labels
    from llmops.errors import InputError, TargetError

    found = read_labels(reference)
    if isinstance(found, Labels):
        return found
    kind = InputError if found.absent else TargetError
    raise kind(found.reason, hint=found.hint)


def _show(order: Order, output: Format) -> None:
    from cli.output import print_data
    from clusters.image import prepare

    context = prepare(order)
    if output is Format.TEXT:
        typer.echo(context.containerfile, nl=False)
        return
    recipe = context.recipe
    print_data(
        {
            "containerfile": context.containerfile,
            "base": recipe.base,
            "image": context.tag,
            "labels": recipe.labels.written(),
        },
        output,
    )


def _warn_of_base(base: str) -> None:
    from cli.output import tell

    if "@" not in base:
        tell(
            "the base is named by a tag, which can move: --base NAME@sha256:… builds the same again"
        )


def _document(built: Built) -> dict[str, Any]:
    return {
        "image": built.tag,
        "id": built.id,
        "digest": built.digest or None,
        "reference": built.reference or None,
        "base": built.base,
        "builder": built.builder,
        "labels": built.labels.written(),
    }


def _print_built(built: Built) -> None:
    from cli.output import tell

    if built.reference:
        tell("pushed; a spec names it so:")
        typer.echo(f"image: {built.reference}")
        return
    tell(f"built {built.tag}; its id with {built.builder}:")
    typer.echo(built.id)
    tell("pods name an image by its digest, which it has once it is pushed: --push")


def _text(path: Path) -> str:
    from llmops.errors import InputError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__})") from error


def _file(path: Path) -> Path:
    from llmops.errors import InputError

    if not path.is_file():
        raise InputError(f"--pip-config: there is no file {path}")
    return path.absolute()
