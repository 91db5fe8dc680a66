"""Policy files, read strictly: every mistake at once, each at its file, line and column.

Says what kind of file a policy is; the reading is the same as a spec's. Each file is one policy:
two files never overlay each other, because a policy that is put together of parts has no owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from llmops.errors import InputError, Problem, SpecError
from llmops.policies.contradictions import find_contradictions
from llmops.policies.model import Policy
from llmops.spec import Document, Placed, read_document, read_text

POLICY = Document(
    model=Policy,
    noun="a policy",
    describes="a policy",
    line="kind: Policy",
    begin="docs/reference/policy.md shows one to start from",
    absent="-f names a policy file; docs/reference/policy.md shows one to start from",
    usual="policy.yaml",
    levels="four",
    more="llmops policy explain {path}",
    contradictions=find_contradictions,
    stand_ins=((("kind",), "Policy"), (("name",), "stand-in")),
    examples={
        "kind": "kind: Policy",
        "name": "name: acme",
        "rules.id": "id: no-eager",
        "rules.that": "that: deployment.engine.dtype != 'float16'",
    },
    later={"kind": "a policy says kind: Policy; llmops validate reads a spec"},
)
"""A policy file."""

ENDINGS = (".yaml", ".yml")
"""Of the files of a directory that are read as policies."""


def read_policy(path: Path) -> Placed[Policy]:
    """Read the policy of a file; `-` is standard input.

    Raises:
        InputError: When the file cannot be read.
        SpecError: With all its problems.
    """
    return read_document(POLICY, [path])


def read_policies(paths: Sequence[Path]) -> tuple[Placed[Policy], ...]:
    """Read a policy from each file; a directory stands for the policy files in it.

    Raises:
        InputError: When a file cannot be read, or a directory holds none.
        SpecError: With all problems of all files, and names that two of them give.
    """
    read: list[Placed[Policy]] = []
    problems: list[Problem] = []
    for file in chain.from_iterable(_files(path) for path in paths):
        try:
            read.append(read_policy(file))
        except SpecError as error:
            problems += error.problems
    problems += _named_twice(read)
    if problems:
        raise SpecError(tuple(problems))
    return tuple(read)


def parse_policy(text: str, name: str) -> Placed[Policy]:
    """The policy that a text describes.

    Raises:
        SpecError: With all problems; they name `name` as the file.
    """
    return read_text(POLICY, text, name)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in ENDINGS and file.is_file())
    if not found:
        raise InputError(
            f"{path}: expected a directory with policy files (*.yaml), found none in it",
            hint=POLICY.begin,
        )
    return found


def _named_twice(read: Sequence[Placed[Policy]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for placed in read:
        name, place = placed.value.name, placed.where("name")
        if name in first and place:
            yield placed.problem(
                "name",
                f"expected each policy's name once, found '{name}' again (first in {first[name]})",
                "rename one of them, or leave one file out",
            )
        first.setdefault(name, place[0] if place else "")
