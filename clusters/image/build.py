"""An image from its order: wheel, lock and Containerfile in a directory, and a builder over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clusters.image.builder import (
    Builder,
    build_command,
    id_file,
    push_command,
    pushed_digest,
    run,
)
from clusters.image.containerfile import REQUIREMENTS, Recipe, containerfile, default_base
from clusters.image.labels import Labels
from clusters.image.lock import Flavour, Lock, read_lock
from clusters.image.reference import HUB, parse_reference
from clusters.image.wheel import Wheel, installed_wheel
from clusters.image.workspace import workspace
from llmops import __version__
from llmops.errors import InputError

PYTHONS = ("3.11", "3.12", "3.13")
DEFAULT_PYTHON = "3.12"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built; what is empty or None is chosen."""

    flavour: Flavour
    base: str = ""
    tag: str = ""
    python: str = DEFAULT_PYTHON
    lock: Lock | None = None
    """Lock to install instead of llmops' own."""
    push: bool = False
    pip_config: Path | None = None
    options: tuple[str, ...] = ()
    """Options of the builder's own."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a build is made of, before any builder is asked."""

    recipe: Recipe
    wheel: Wheel
    lock: Lock
    tag: str

    @property
    def containerfile(self) -> str:
        """The Containerfile's text."""
        return containerfile(self.recipe)


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was built."""

    tag: str
    id: str
    """The builder's own id of it; a node cannot ask for an image by this."""
    digest: str
    """The registry's digest; empty before it is pushed."""
    labels: Labels
    base: str
    builder: str

    @property
    def reference(self) -> str:
        """What a spec's `image` names; empty before it is pushed."""
        return f"{parse_reference(self.tag).name}@{self.digest}" if self.digest else ""


def prepare(order: Order) -> Context:
    """Gather what the image is made of. Nothing is written.

    Raises:
        InputError: When a name, the lock or the installed llmops is not what it must be.
    """
    if order.python not in PYTHONS:
        raise InputError(f"Python {order.python}: expected one of {', '.join(PYTHONS)}")
    base = order.base or default_base(order.flavour, order.python)
    parse_reference(base)
    tag = _tag(order)
    lock, wheel = order.lock or read_lock(order.flavour), installed_wheel()
    labels = Labels(
        version=__version__,
        engine=lock.engine,
        ray=lock.ray,
        python=order.python,
        lock=lock.sha256,
        source=wheel.source,
    )
    return Context(Recipe(order.flavour, base, labels, wheel.name), wheel, lock, tag)


def _tag(order: Order) -> str:
    """The image's name, whole: builders differ in what they add to a short one."""
    if not order.tag:
        if order.push:
            raise InputError(
                "--push needs to know where to", hint="add --tag registry.example.com/team/llmops"
            )
        return f"localhost/llmops:{__version__}-{order.flavour}"
    reference = parse_reference(order.tag)
    if reference.digest:
        raise InputError(f"'{order.tag}' has a digest, which only the build decides")
    if order.push and reference.registry == HUB and not order.tag.startswith(f"{HUB}/"):
        raise InputError(
            f"'{order.tag}' would be pushed to {HUB}, which it does not name",
            hint=f"name the registry: {reference}",
        )
    return str(reference)


def build(order: Order, builder: Builder, on_line: Callable[[str], None]) -> Built:
    """Build the image, and push it when the order says so.

    Args:
        order: What to build.
        builder: Who builds it.
        on_line: Is handed what the builder says.

    Raises:
        InputError: As `prepare` does; nothing was built.
        TargetError: When the builder fails.
    """
    ready = prepare(order)
    with workspace() as directory:
        context = _written(ready, directory / "context")
        command = build_command(
            builder, context, ready.tag, pip_config=order.pip_config, options=order.options
        )
        run(command, on_line)
        digest = _pushed(builder, context, ready.tag, on_line) if order.push else ""
        image = id_file(context).read_text().strip()
    return Built(ready.tag, image, digest, ready.recipe.labels, ready.recipe.base, builder.name)


def _written(ready: Context, context: Path) -> Path:
    context.mkdir()
    (context / "Containerfile").write_text(ready.containerfile, encoding="utf-8")
    (context / REQUIREMENTS).write_text(ready.lock.text, encoding="utf-8")
    (context / ready.wheel.name).write_bytes(ready.wheel.content)
    return context


def _pushed(builder: Builder, context: Path, tag: str, on_line: Callable[[str], None]) -> str:
    run(push_command(builder, context, tag), on_line)
    return pushed_digest(builder, context, tag)
