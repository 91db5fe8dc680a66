"""From files to a Deployment, or to everything that is wrong with them at once.

Says what kind of file a spec is; the reading itself is the same for every kind: see `strict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmops.spec.contradictions import find_contradictions
from llmops.spec.document import Document
from llmops.spec.models import Deployment
from llmops.spec.strict import Placed, read_document, read_text

SPEC = Document(
    model=Deployment,
    noun="a spec",
    describes="a deployment",
    line="name: support-chat",
    begin="llmops init NAME writes a file to start from",
    absent="llmops init NAME writes one; -f names another",
    usual="llmops.yaml",
    levels="four",
    more="llmops explain {path}",
    contradictions=find_contradictions,
    stand_ins=((("name",), "stand-in"), (("model", "source"), "file:///stand-in")),
    examples={
        "target.store": "store: s3://bucket/prefix",
        "name": "name: support-chat",
        "model": "model: {source: hf://owner/name}",
        "model.source": "source: hf://owner/name",
    },
    later={
        "target.kind": "local is this machine, agent one behind a store, kubernetes a cluster, aws"
        " machines of Amazon EC2",
        "engine.kind": "this version runs vllm only",
        "kind": "this version serves models only: kind: Service; a policy is for llmops policy",
    },
)
"""`llmops.yaml`."""


@dataclass(frozen=True)
class Loaded(Placed[Deployment]):
    """A deployment, and where each of its values was written."""

    @property
    def deployment(self) -> Deployment:
        """What the files describe."""
        return self.value


def load(paths: Sequence[Path]) -> Deployment:
    """The deployment that the files describe; see `read`."""
    return read(paths).deployment


def loads(source: str, name: str = "llmops.yaml") -> Deployment:
    """The deployment that a text describes.

    Raises:
        SpecError: With all problems; they name `name` as the file.
    """
    return read_text(SPEC, source, name).value


def read(paths: Sequence[Path]) -> Loaded:
    """Read one or more files; later ones overlay earlier ones.

    Mappings are merged key by key, lists and single values replaced. `-` is standard input.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of all files, in their order.
    """
    placed = read_document(SPEC, paths)
    return Loaded(placed.value, placed.root)
