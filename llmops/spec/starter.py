"""The small file that `llmops init` writes: what must be said, and the options that most want.

The options' defaults are read off the models, so that the file cannot promise another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from llmops.errors import InputError
from llmops.spec import addresses, scalars
from llmops.spec.document import Section
from llmops.spec.fields import explain
from llmops.spec.models import Deployment
from llmops.spec.names import DNS_LABEL

_HEAD = """\
# What to serve, and where. `llmops validate` checks this file, `llmops deploy` makes it so, and
# `llmops explain FIELD` tells what a field means.
# Lines such as `#engine:` are options that show their defaults: to set one, take away its '#' and
# that of its section.
"""

_OPTIONS: tuple[tuple[str, str], ...] = (
    ("model.context", "longest request in tokens, prompt and answer together"),
    ("engine.kv_cache", "memory for requests in flight, such as 2GiB"),
    ("hardware.device", "cpu, gpu, or auto: the GPUs that are there"),
    ("hardware.memory", "memory of one replica, such as 6GiB"),
    ("target.port", "one endpoint for all services of this machine"),
    ("scaling.replicas", "a number, or a range such as 1..4"),
    ("security.keys", "names of API keys; each key is shown once"),
    ("security.requests_per_minute", "for each key"),
    ("maintenance.strategy", "recreate: for a machine that cannot hold two releases"),
    ("maintenance.drain", "time for a replaced release to finish its answers"),
)

_COMMENT_AT = 34
"""Column of the comments behind options."""


def starter(name: str, source: str) -> str:
    """The text of an `llmops.yaml` that serves `source` as `name`; it loads as it is.

    Raises:
        InputError: When `name` is no name, or `source` no address.
    """
    check(name, source)
    lines = [f"name: {spelled(name)}", "model:", f"  source: {spelled(source)}"]
    lines += options(_OPTIONS, Deployment, "model")
    return _HEAD + "\n".join(lines) + "\n"


def check(name: str, source: str, example: str = "support-chat") -> None:
    """Refuse what a starter cannot be written with.

    Raises:
        InputError: When `name` is no name, or `source` no address.
    """
    if not re.fullmatch(DNS_LABEL, name):
        expected = explain("name")[0].type
        raise InputError(f"name: expected {expected}", hint=f"such as {example}")
    if wrong := addresses.check(source):
        raise InputError(f"source: {wrong.message}", hint=wrong.hint)


def options(wanted: Sequence[tuple[str, str]], model: type[Section], section: str) -> Iterator[str]:
    """Lines of options that are commented out and show their defaults.

    Args:
        wanted: Dotted paths, and what is said of each; those of one section together.
        model: What the file describes.
        section: The section that the line before them is in.
    """
    for path, comment in wanted:
        above, _, key = path.partition(".")
        if above != section:
            yield f"#{above}:"
            section = above
        option = f"#  {key}: {explain(path, model)[0].default}"
        yield f"{option:<{_COMMENT_AT}}# {comment}"


def spelled(text: str) -> str:
    """A text as YAML: quoted where it would be read as something else."""
    simple = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./:@+-]*", text) and not text.endswith(":")
    if simple and scalars.resolve(text, plain=True, tag=None) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
