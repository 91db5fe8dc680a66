"""The tree as files, for Argo CD or Flux: one object per file, the same bytes every time.

It only ever replaces and removes files that it made itself, which it knows by their first line, and
refuses before the first byte when another's file is in the way. Secrets are never written: a note
beside the files says which ones must exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from clusters.model import Manifest
from clusters.objects import RANKS
from clusters.secret_note import NOTE, note
from llmops.errors import InputError, RefusedError

MARK = "Made by `llmops render`: it replaces this file, and removes it when it is not needed."
HEADER = f"# {MARK}\n"
NOTE_HEADER = f"<!-- {MARK} -->\n"
KUSTOMIZATION = "kustomization.yaml"
UNCERTAIN = re.compile(r"[-+.\d].*|[yYnN]", re.DOTALL)
"""Strings that a reader of another YAML version may take for a number, a date or a truth value: a
runtime's id such as `1234e567` is one million and more to kubectl."""


def write_tree(manifests: Iterable[Manifest], directory: Path) -> tuple[Path, ...]:
    """Write the objects, a kustomization and the note on Secrets; return their paths, in order.

    Files that are right already are not touched. Files of ours that are no longer needed go.

    Raises:
        RefusedError: A file that is not ours has a name that is needed. Nothing was written.
        InputError: The directory cannot be written to.
    """
    files = _files(tuple(manifests))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in files:
            _refuse_strangers(directory / name)
        for name, text in files.items():
            _write(directory / name, text)
        for stale in _ours(directory):
            if stale.name not in files:
                stale.unlink()
    except OSError as error:
        raise InputError(
            f"the tree cannot be written to {directory}: {error.strerror or error}",
            hint="name a directory that is yours to write to",
        ) from error
    return tuple(directory / name for name in files)


def yaml_text(manifest: Mapping[str, Any]) -> str:
    """The object as YAML that every reader takes for the same."""
    return yaml.dump(
        dict(manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6
    )


def file_name(manifest: Manifest) -> str:
    """`NN-kind-name.yaml`: the number is the kind's, so another object renames no file."""
    kind = str(manifest["kind"])
    return f"{RANKS[kind]:02}-{kind.lower()}-{manifest['metadata']['name']}.yaml"


def _files(manifests: tuple[Manifest, ...]) -> dict[str, str]:
    made = {file_name(manifest): HEADER + yaml_text(manifest) for manifest in manifests}
    named = dict(sorted(made.items()))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(named),
    }
    return {
        **named,
        KUSTOMIZATION: HEADER + yaml_text(kustomization),
        NOTE: NOTE_HEADER + note(manifests),
    }


def _write(path: Path, text: str) -> None:
    """By way of another file, so that a crash leaves the old one whole."""
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def _refuse_strangers(path: Path) -> None:
    if (path.exists() or path.is_symlink()) and not _is_ours(path):
        raise RefusedError(
            f"{path} was not made by `llmops render`, and a file of that name is needed",
            hint="move it, or name another directory; to change what is made, use a kustomize"
            " overlay that lists this directory as a resource",
        )


def _ours(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.iterdir()) if _is_ours(path))


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.suffix not in (".yaml", ".md"):
        return False
    with path.open("rb") as file:
        return file.readline(len(NOTE_HEADER) + 1) in (HEADER.encode(), NOTE_HEADER.encode())


class _Dumper(yaml.SafeDumper):
    """Blocks for texts of several lines, quotes where readers differ, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML asks so
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"' if UNCERTAIN.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
