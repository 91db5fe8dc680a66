"""From files to a Deployment, or to everything that is wrong with them at once.

Says what kind of file a spec is; the reading itself is the same for every kind: see `strict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmops.spec.contradictions import find_contradictions
from llmops.spec.document import Document
from llmops.spec.machines import BareMetalTarget
from llmops.spec.models import Deployment
from llmops.spec.strict import STDIN, Placed, read_document, read_text

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
        "model.adapter.source": "source: run://support-style/3",
    },
    later={
        "target.kind": "local is this machine, agent one behind a store, kubernetes a cluster, aws"
        " machines of Amazon EC2, bare_metal hosts of your own",
        "engine.kind": "this version runs vllm only",
        "kind": "this version serves models only: kind: Service; kind: FineTune is for llmops"
        " finetune run, a policy for llmops policy",
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
    return loaded(read_document(SPEC, paths))


def loaded(placed: Placed[Deployment]) -> Loaded:
    """What was read as a spec, ready to be used."""
    return Loaded(_anchored(placed), placed.root)


def _anchored(placed: Placed[Deployment]) -> Deployment:
    """The deployment with the other files that it names by absolute paths: a release outlives the
    folder that a command ran in."""
    deployment = placed.value
    target = deployment.target
    if not isinstance(target, BareMetalTarget):
        return deployment
    files = {name: getattr(target, name) for name in ("cluster", "health")}
    whole = {
        name: str(_folder(placed, f"target.{name}") / path) for name, path in files.items() if path
    }
    return deployment.model_copy(update={"target": target.model_copy(update=whole)})


def _folder(placed: Placed[Deployment], path: str) -> Path:
    """Where the file lies that a value was written in; the working directory for standard input."""
    where = placed.where(path)
    return Path(where[0]).absolute().parent if where and where[0] != STDIN else Path.cwd()
