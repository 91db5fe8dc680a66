"""A model on the Hugging Face hub, by its own client.

The revision is resolved to a commit once, and everything after names the commit. Only config,
tokenizer and safetensors are fetched: a pickle or a program of the repository never reaches this
machine. The client finds its token by itself; it is never read, shown or logged here.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from serving.models import headers
from serving.models.files import has_template, read_directory
from serving.models.manifest import WANTED
from serving.models.places import Description

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

TIMEOUT = 20.0
"""Seconds for one answer of the hub."""

TRIES = 5
"""How often a cut download is resumed."""


class Hub:
    """A repository at one commit."""

    in_place = False
    converts = False

    def __init__(self, repository: str, revision: str | None, *, offline: bool) -> None:
        self._repository = repository
        self._info = None if offline else _ask(repository, revision)
        if self._info is None and not _is_commit(revision):
            raise ModelError(
                f"hf://{repository} cannot be resolved without the hub",
                hint="pin model.revision to a commit that was deployed before",
            )
        self._revision = str(self._info.sha if self._info else revision)

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def directory(self) -> Path:
        raise ModelError(f"hf://{self._repository} is not in place")

    def _files(self) -> dict[str, int]:
        """Wanted files and their sizes."""
        if self._info is None:
            raise ModelError(f"hf://{self._repository} is not on this machine, and the hub is off")
        siblings = self._info.siblings or []
        found = {s.rfilename: int(s.size or 0) for s in siblings if s.rfilename.endswith(WANTED)}
        if not any(name.endswith(".safetensors") for name in found):
            from serving.models.store import no_safetensors

            raise no_safetensors(f"hf://{self._repository}", [s.rfilename for s in siblings])
        return found

    def describe(self, had: Path | None) -> Description:
        if had is not None:
            return read_directory(had)
        from huggingface_hub import HfFileSystem

        files = self._files()
        shards = sorted(name for name in files if "/" not in name and name.endswith(".safetensors"))
        system = HfFileSystem()
        root = f"{self._repository}@{self._revision}"
        with _explained(self._repository, self._revision):
            config = json.loads(system.cat_file(f"{root}/config.json"))
            weights = headers.total(
                headers.parse(name, _reader(system, f"{root}/{name}"), files[name])
                for name in shards
            )
            template = "chat_template.jinja" in files
            if not template and "tokenizer_config.json" in files:
                text = system.cat_file(f"{root}/tokenizer_config.json")
                template = bool(json.loads(text).get("chat_template"))
        return config, weights, template

    def fetch_bytes(self) -> int:
        return sum(self._files().values())

    def fetch(self, files: Path) -> Flow[None]:
        from huggingface_hub import snapshot_download

        total = self.fetch_bytes()
        outcome: list[BaseException | None] = []

        def work() -> None:
            try:
                for attempt in range(TRIES):
                    try:
                        with _explained(self._repository, self._revision):
                            snapshot_download(
                                self._repository,
                                revision=self._revision,
                                local_dir=files,
                                allow_patterns=[f"*{ending}" for ending in WANTED],
                                max_workers=4,
                            )
                        break
                    except ModelError as error:
                        if attempt == TRIES - 1 or not isinstance(error, _Interrupted):
                            raise
                outcome.append(None)
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread, and raised there
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        began = time.monotonic()
        while thread.is_alive():
            here = sum(f.stat().st_size for f in files.rglob("*") if f.is_file())
            percent = min(100.0, 100.0 * here / total) if total else None
            reason = f"fetching {self._repository} ({here >> 20} of {total >> 20} MiB)"
            yield Progress("model", reason, time.monotonic() - began, None, percent)
            thread.join(0.2)
        if outcome and outcome[0] is not None:
            raise outcome[0]
        has_template(files)


class _Interrupted(ModelError):
    """The connection was cut; what has arrived is kept, and the next try goes on from there."""


def _is_commit(revision: str | None) -> bool:
    return revision is not None and len(revision) == 40


def _ask(repository: str, revision: str | None) -> ModelInfo:
    from huggingface_hub import HfApi

    with _explained(repository, revision or "main"):
        return HfApi().model_info(
            repository, revision=revision, files_metadata=True, timeout=TIMEOUT
        )


def _reader(system: Any, path: str) -> Any:
    return lambda offset, length: system.cat_file(path, start=offset, end=offset + length)


class _explained:  # noqa: N801 - reads as a statement: `with _explained(...)`
    """Turn the client's errors into ours, in words that tell what to do."""

    def __init__(self, repository: str, revision: str) -> None:
        self._repository = repository
        self._revision = revision

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, ModelError):
            return
        import httpx
        from huggingface_hub import errors

        name = f"hf://{self._repository}"
        if isinstance(error, errors.GatedRepoError):
            raise ModelError(
                f"{name} is gated: the hub does not give it to you",
                hint="accept its terms on the hub, and log in (hf auth login, or HF_TOKEN)",
            ) from error
        if isinstance(error, errors.RepositoryNotFoundError):
            raise ModelError(
                f"{name} does not exist, or is private",
                hint="check the name; for a private model log in (hf auth login, or HF_TOKEN)",
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            raise ModelError(
                f"{name} has no revision '{self._revision}'", hint="name a commit of the repository"
            ) from error
        if isinstance(error, (errors.HfHubHTTPError, httpx.HTTPError, OSError, ValueError)):
            raise _Interrupted(
                f"{name} could not be read from the hub: {type(error).__name__}",
                hint="check the network and HF_ENDPOINT; deploying again goes on where this ended",
            ) from error
