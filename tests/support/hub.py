"""A small server on loopback that plays the model hub for the real `huggingface_hub` client.

What it plays: a model's info at a branch or commit (names, sizes, git and LFS digests), files at a
commit by GET and HEAD with ranges, weights through a redirect to another origin as a hub's storage
has, gated and missing repositories, unknown revisions and entries, and faults on demand: a
connection cut half-way, a hub that is busy, a body that stops coming, ranges ignored.

What it leaves out: Xet, the LFS batch API, uploads, spaces, the tree, search and every
other API, tokens that expire, rate limits' headers, TLS, and the hub's checks of names. A token is
recorded, and only compared where a repository is gated.

The client reads `HF_ENDPOINT` when it is imported. A program of its own gets it in its environment
(`environment`); in this process `use` sets what the client made of it.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

BLOCK = 4096
"""Bytes that are sent at a time."""

LFS = (".safetensors", ".bin", ".model")
"""Endings of files that are kept in LFS, and fetched from the other origin."""


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    origin: str
    """`hub` or `storage`."""
    path: str
    range: str
    authorization: str


@dataclass
class Repository:
    """A repository: what each commit holds, and where branches point."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated_for: str | None = None
    """The token that may read it; None when everybody may."""


class HubServer:
    """The hub and its storage, each on a port of its own."""

    def __init__(self) -> None:
        self._repositories: dict[str, Repository] = {}
        self._lock = threading.Lock()
        self._cuts: dict[str, int] = {}
        self._answers: list[tuple[str, int]] = []
        self._left: int | None = None
        self._held_name = ""
        self._released = threading.Event()
        self.held = threading.Event()
        """Set when a body has stopped coming because of `hold`."""
        self.ignores_ranges = False
        self.asked: list[Asked] = []
        self._servers = {origin: self._serve(origin) for origin in ("hub", "storage")}

    @property
    def url(self) -> str:
        return self._url("hub")

    @property
    def environment(self) -> dict[str, str]:
        """For a program that imports the client."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_TELEMETRY": "1"}

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let the client in this process ask here."""
        from huggingface_hub import constants

        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    # What the hub has

    def publish(
        self,
        repository: str,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        gated_for: str | None = None,
    ) -> str:
        """Make a commit on a branch; returns its hash."""
        text = json.dumps([repository, {n: _sha256(c) for n, c in sorted(files.items())}])
        commit = hashlib.sha1(text.encode()).hexdigest()
        found = self._repositories.setdefault(repository, Repository())
        found.commits[commit] = dict(files)
        found.branches[branch] = commit
        found.gated_for = gated_for
        return commit

    # Faults

    def cut(self, name: str, *, after: int) -> None:
        """Close the connection once, `after` bytes into the next body of that file."""
        self._cuts[name] = after

    def answer(self, part: str, *statuses: int) -> None:
        """Answer the next requests whose path holds `part` with these statuses."""
        self._answers += [(part, status) for status in statuses]

    def hold(self, name: str = "", *, after: int) -> None:
        """Let `after` bytes pass, of one file or of all together; no more until `release`."""
        self._held_name = name
        self.held.clear()
        self._released.clear()
        self._left = after

    def release(self) -> None:
        """Let all pass again."""
        self._left = None
        self._released.set()

    # What was asked

    def fetched(self, name: str, origin: str = "hub") -> list[Asked]:
        """GETs of one file, whole and in part; for those that were redirected ask `storage`."""
        found = [a for a in self.asked if a.method == "GET" and a.origin == origin]
        return [a for a in found if a.path.endswith(f"/{name}")]

    def names(self) -> set[str]:
        """Names of all files that were asked for at the hub."""
        paths = [a.path for a in self.asked if "/resolve/" in a.path]
        return {path.split("/resolve/", 1)[1].split("/", 1)[1] for path in paths}

    def close(self) -> None:
        """Stop both servers."""
        self.release()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    # How it answers

    def _serve(self, origin: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "origin": origin})
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        return server

    def _url(self, origin: str) -> str:
        return f"http://127.0.0.1:{self._servers[origin].server_address[1]}"

    def storage_url(self, name: str, content: bytes) -> str:
        """Where the storage has a content; the name is for those who read what was asked."""
        return f"{self._url('storage')}/{_sha256(content)}/{name}"

    def stored(self, digest: str) -> bytes | None:
        """A content by its digest."""
        for repository in self._repositories.values():
            for files in repository.commits.values():
                for content in files.values():
                    if _sha256(content) == digest:
                        return content
        return None

    def find(self, repository: str, revision: str) -> tuple[Repository, str | None]:
        """A repository, and the commit that a revision stands for. Raises KeyError."""
        found = self._repositories[repository]
        commit = found.branches.get(revision, revision)
        return found, commit if commit in found.commits else None

    def next_answer(self, path: str) -> int | None:
        """The status that `answer` asked for, once."""
        with self._lock:
            for at, (part, status) in enumerate(self._answers):
                if part in path:
                    del self._answers[at]
                    return status
        return None

    def passes(self, name: str, sent: int, size: int) -> bool:
        """Whether the next `size` bytes of a body may be sent; waits while they are held."""
        after = self._cuts.get(name)
        if after is not None and sent + size > after:
            self._cuts.pop(name, None)
            return False
        with self._lock:
            held = False
            if self._left is not None and self._held_name in ("", name):
                self._left -= size
                held = self._left < 0
        if held:
            self.held.set()
            self._released.wait()
        return True


class _Server(ThreadingHTTPServer):
    """A server whose clients may be killed."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return


class _Handler(BaseHTTPRequestHandler):
    """One request at the hub or at its storage."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: HubServer
    origin: str

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        return

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        get = self.headers.get
        asked = Asked(
            self.command, self.origin, path, get("Range", ""), get("Authorization", "")
        )  # fmt: skip
        self.hub.asked.append(asked)
        if (status := self.hub.next_answer(path)) is not None:
            self._send(status)
        elif self.origin == "storage":
            digest, _, name = path.strip("/").partition("/")
            self._body(name, self.hub.stored(digest) or b"", {})
        elif path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/"))
        elif path.startswith("/api/datasets/"):  # published as `datasets/<owner>/<name>`
            self._info(path.removeprefix("/api/"))
        elif "/resolve/" in path:
            self._resolve(path.strip("/"))
        else:
            self._send(404)

    def _info(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        found = self._commit(name, revision or "main")
        if found is None:
            return
        repository, commit = found
        siblings = [_sibling(n, c) for n, c in repository.commits[commit].items()]
        gated = "manual" if repository.gated_for else False
        document = {"id": name, "sha": commit, "gated": gated, "siblings": siblings}
        card = repository.commits[commit].get("README.md", b"")
        if card.startswith(b"---"):
            document["cardData"] = yaml.safe_load(card.split(b"---")[1])
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _resolve(self, path: str) -> None:
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        found = self._commit(name, revision)
        if found is None:
            return
        repository, commit = found
        if repository.gated_for and self.headers.get("Authorization") != (
            f"Bearer {repository.gated_for}"
        ):
            self._send(403, headers={"X-Error-Code": "GatedRepo"})
            return
        content = repository.commits[commit].get(file)
        if content is None:
            self._send(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{git_digest(content)}"'}
        if file.endswith(LFS):
            headers |= {
                "Location": self.hub.storage_url(file, content),
                "X-Linked-ETag": f'"{_sha256(content)}"',
                "X-Linked-Size": str(len(content)),
            }
            self._send(302, headers=headers)
        else:
            self._body(file, content, headers)

    def _commit(self, name: str, revision: str) -> tuple[Repository, str] | None:
        try:
            repository, commit = self.hub.find(name, revision)
        except KeyError:
            self._send(401, headers={"X-Error-Code": "RepoNotFound"})
            return None
        if commit is None:
            self._send(404, headers={"X-Error-Code": "RevisionNotFound"})
            return None
        return repository, commit

    def _body(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the range of it that was asked for."""
        wanted = self.headers.get("Range", "")
        status = 200
        if wanted and not self.hub.ignores_ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or len(content)) + 1, len(content))
            headers |= {"Content-Range": f"bytes {begin}-{end - 1}/{len(content)}"}
            content, status = content[begin:end], 206
        self._send(status, content, headers, name)

    def _send(
        self,
        status: int,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for at in range(0, len(content), BLOCK):
            block = content[at : at + BLOCK]
            if name and not self.hub.passes(name, at, len(block)):
                self.close_connection = True
                return
            try:
                self.wfile.write(block)
            except OSError:  # the client was killed, which is what some tests are about
                self.close_connection = True
                return


@contextmanager
def running() -> Iterator[HubServer]:
    """A hub for as long as the block lasts."""
    server = HubServer()
    try:
        yield server
    finally:
        server.close()


def git_digest(content: bytes) -> str:
    """Git's name of a blob."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rfilename": name,
        "size": len(content),
        "blobId": git_digest(content),
    }
    if name.endswith(LFS):
        lfs = {"size": len(content), "sha256": _sha256(content), "pointerSize": 134}
        found |= {"blobId": git_digest(b"version https://git-lfs.github.com/spec/v1"), "lfs": lfs}
    return found
