"""A model on the Hugging Face hub, by its own client.

The revision is resolved to a commit once, and everything after names the commit. Only config,
tokenizer and safetensors are fetched: a pickle or a program of the repository never reaches this
machine. The hub says what each file of a commit is (size, and a digest), and what has arrived is
compared with that. The client finds its token by itself; it is never read, shown or logged here.

Files come by plain HTTP with ranges, on the client's own session: `snapshot_download` keeps nothing
of a file whose download was killed, and cannot be told to stop. The hub's faster Xet protocol is
therefore not used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import ModelError
from llmops.events import Flow
from serving.models import contents, licences
from serving.models.contents import Description, Listing
from serving.models.download import Interrupted, Remote, download
from serving.models.manifest import Entry
from serving.models.source import is_commit

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

TIMEOUT = 20.0
"""Seconds without a byte from the hub."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses that another try may not meet."""


class Hub:
    """A repository at one commit."""

    in_place = False
    converts = False

    def __init__(self, repository: str, revision: str | None, *, offline: bool) -> None:
        self._repository = repository
        self._info = None if offline else _ask(repository, revision)
        found = self._info.sha if self._info else revision
        if found is None or not is_commit(found):
            raise ModelError(
                f"{self.where} cannot be resolved to a commit"
                + (" without the hub" if offline else ": the hub answers none"),
                hint="pin model.revision to a commit that was deployed before" if offline else "",
            )
        if is_commit(revision) and found != revision:
            raise ModelError(f"{self.where} was asked for {revision}, and the hub gives {found}")
        self.revision = found

    @property
    def where(self) -> str:
        return f"hf://{self._repository}"

    @property
    def directory(self) -> Path:
        raise ModelError(f"{self.where} is not in place")

    @property
    def licence(self) -> str:
        card = self._info.card_data if self._info else None
        return licences.stated(vars(card)) if card else ""

    # The repository as a listing

    @cached_property
    def _siblings(self) -> dict[str, RepoSibling]:
        if self._info is None:
            raise ModelError(f"{self.where} is not on this machine, and the hub is not asked")
        return {sibling.rfilename: sibling for sibling in self._info.siblings or []}

    @property
    def names(self) -> Iterable[str]:
        return list(self._siblings)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        found = {}
        for name in contents.select(self.where, self._siblings):
            size = self._siblings[name].size
            if size is None:
                raise ModelError(f"the hub does not tell how long {self.where}/{name} is")
            found[name] = size
        return found

    def read(self, name: str, offset: int, length: int) -> bytes:
        if length <= 0:
            return b""
        found = b""
        for block in self._stream(name, offset, min(offset + length, self.sizes[name])):
            found += block
        return found[:length]

    def _stream(self, name: str, begin: int, end: int) -> Iterator[bytes]:
        """Bytes of a file from `begin` up to `end`."""
        from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        headers = build_hf_headers() | {
            "Range": f"bytes={begin}-{end - 1}",
            "Accept-Encoding": "identity",
        }
        url = hf_hub_url(self._repository, name, revision=self.revision)
        with (
            _explained(self._repository, self.revision),
            get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as answer,
        ):
            hf_raise_for_status(answer)
            # Who ignores the range sends all: what is here already is let pass.
            skip = begin if answer.status_code == 200 else 0
            for block in answer.iter_bytes():
                if skip < len(block):
                    yield block[skip:]
                skip = max(0, skip - len(block))

    # The repository as a place

    @property
    def listing(self) -> Listing:
        return self

    def describe(self) -> Description:
        return contents.describe(self)

    @cached_property
    def _wanted(self) -> Mapping[str, int]:
        return contents.to_fetch(self)

    def fetch_bytes(self) -> int:
        return sum(self._wanted.values())

    def fetch(self, files: Path) -> Flow[None]:
        yield from download([self._remote(name) for name in self._wanted], files, self.where)

    def _remote(self, name: str) -> Remote:
        size = self.sizes[name]
        return Remote(name, size, lambda offset: self._stream(name, offset, size))

    def damaged(self, found: Mapping[str, Entry], files: Path) -> list[str]:
        wrong = {name for name in found if name not in self._wanted}
        for name, size in self._wanted.items():
            entry, sibling = found.get(name), self._siblings[name]
            if entry is None or entry.size != size:
                wrong.add(name)
            elif sibling.lfs is not None:
                if sibling.lfs.sha256 != entry.sha256:
                    wrong.add(name)
            elif sibling.blob_id and sibling.blob_id != _git_digest(files / name):
                wrong.add(name)
        return sorted(wrong)


def _git_digest(path: Path) -> str:
    """Git's name of a blob: what a repository tells of a file that is not in LFS."""
    content = path.read_bytes()
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def _ask(repository: str, revision: str | None) -> ModelInfo:
    from huggingface_hub import HfApi

    with _explained(repository, revision or "main"):
        return HfApi().model_info(
            repository, revision=revision, files_metadata=True, timeout=TIMEOUT
        )


class _explained:  # noqa: N801 - reads as a statement: `with _explained(...)`
    """Turn the client's errors into ours, in words that tell what to do."""

    def __init__(self, repository: str, revision: str) -> None:
        self._name = f"hf://{repository}"
        self._revision = revision

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, ModelError):
            return
        from huggingface_hub import errors

        # The client's HTTP errors derive from those of the HTTP library that it stands on.
        failures = (*errors.HfHubHTTPError.__bases__, OSError, ValueError, KeyError, TypeError)
        if isinstance(error, failures):
            raise self._ours(error) from error

    def _ours(self, error: BaseException) -> ModelError:
        from huggingface_hub import errors

        log_in = "log in (hf auth login, or HF_TOKEN)"
        if isinstance(error, errors.GatedRepoError):
            return ModelError(
                f"{self._name} is gated: the hub does not give it to you",
                hint=f"accept its terms on the hub, and {log_in}",
            )
        if isinstance(error, errors.RepositoryNotFoundError):
            return ModelError(
                f"{self._name} does not exist, or is private",
                hint=f"check the name; for a private model {log_in}",
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return ModelError(
                f"{self._name} has no revision '{self._revision}'",
                hint="name a commit of the repository",
            )
        if isinstance(error, errors.OfflineModeIsEnabled):
            return ModelError(
                f"{self._name} is not on this machine, and HF_HUB_OFFLINE keeps the hub from being"
                " asked",
                hint="unset HF_HUB_OFFLINE, or pin model.revision to a commit that is here",
            )
        if isinstance(error, errors.HFValidationError):
            return ModelError(f"{self._name} is not a name that the hub allows")
        if isinstance(error, errors.HfHubHTTPError):
            return self._refused(error.response.status_code)
        return Interrupted(
            f"{self._name} could not be read from the hub ({type(error).__name__})",
            hint="check the network and HF_ENDPOINT; deploying again goes on where this ended",
        )

    def _refused(self, status: int) -> ModelError:
        if status in (401, 403):
            return ModelError(
                f"the hub refuses your token for {self._name} (HTTP {status})",
                hint="make a new token on the hub, and log in with it (hf auth login, or HF_TOKEN)",
            )
        answer = f"the hub answers HTTP {status} for {self._name}"
        if status in PASSING:
            return Interrupted(answer, hint="try again in a minute: what has arrived is kept")
        return ModelError(answer)
