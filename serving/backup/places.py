"""Where backups are kept: a folder, or a prefix of an object store, through fsspec.

A backup appears under its name whole or not at all, and is read back before it is believed. An
object store's credentials are found by fsspec's own implementations; none is read, shown or logged
here, and neither is the text of a store's error, which may quote a signed request.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from llmops.errors import InputError, LlmopsError

SUFFIX = ".tar"
EXTRAS = {"s3": "s3", "gs": "gcs"}
"""The extra of llmops that brings a scheme's implementation."""

PARTS = ".llmops-backup-*.part"
"""Files that are being written, or were when their writer was killed."""
JUST_MADE = 60.0
"""Seconds for which one is left alone: its writer may not hold it yet."""

_NAME = re.compile(r"llmops-backup-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}\.tar")


def file_name(created_at: float, content: bytes) -> str:
    """What a backup is called: when it was made, and what it is. Names sort by time."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(created_at))
    return f"llmops-backup-{moment}-{hashlib.sha256(content).hexdigest()[:12]}{SUFFIX}"


class Place(Protocol):
    """A folder or prefix that backups are put below."""

    def put(self, name: str, content: bytes) -> str:
        """Store a backup; returns its whole address. The name appears when it is complete."""
        ...

    def get(self) -> tuple[str, bytes]:
        """The backup that the address names, or the newest below it; and its whole address.

        Raises:
            InputError: When there is none.
        """
        ...


def place_of(address: str) -> Place:
    """The place of `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix`, or of a path.

    Raises:
        InputError: When it is none of these.
    """
    scheme, separator, rest = address.partition("://")
    if not separator and address:
        return Folder(Path(address).expanduser().absolute())
    if scheme == "file" and rest.startswith("/"):
        return Folder(Path(rest))
    if "@" in rest.partition("/")[0]:
        raise InputError(
            "the address of a bucket carries credentials",
            hint="take them out, and give them to the client in its own way (environment, profile)",
        )
    if scheme in EXTRAS and rest.strip("/"):
        return Bucket(scheme, rest.strip("/"))
    raise InputError(
        f"'{address}' is no place for a backup",
        hint="expected file:///folder, s3://bucket/prefix or gs://bucket/prefix",
    )


class Folder:
    """A folder of a file system; from `get`, also one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, name: str, content: bytes) -> str:
        file = self._path / name
        # Its own for each writer: two at once must not write into one.
        whole = self._path / f".{name}.{os.getpid()}.part"
        with _explained(str(self._path), "written"):
            self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            _clear(self._path)
            try:
                _write(whole, content)
                whole.replace(file)
            finally:
                whole.unlink(missing_ok=True)
            _write_through(self._path)
        return f"file://{file}"

    def get(self) -> tuple[str, bytes]:
        with _explained(str(self._path), "read"):
            file = self._path
            if file.is_dir():
                file /= _newest([entry.name for entry in file.iterdir()], str(self._path))
            return f"file://{file}", file.read_bytes()


def _clear(folder: Path) -> None:
    """Remove what writers that were killed have left: nobody holds it, and it is not just made."""
    for left in folder.glob(PARTS):
        with contextlib.suppress(
            OSError
        ):  # it has gone, or is not ours: no reason to keep no backup
            if time.time() - left.stat().st_mtime > JUST_MADE and not _held(left):
                left.unlink()


def _held(file: Path) -> bool:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        fcntl.flock(output, fcntl.LOCK_SH)  # until it is closed, or the process is gone
        output.write(content)
        output.flush()
        os.fsync(output.fileno())


def _write_through(folder: Path) -> None:
    """Make a rename in the folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Bucket:
    """A prefix of an object store; from `get`, also one object."""

    def __init__(self, scheme: str, root: str) -> None:
        self._scheme, self._root = scheme, root
        self._system = _system(scheme)

    def put(self, name: str, content: bytes) -> str:
        address = f"{self._scheme}://{self._root}/{name}"
        with _explained(address, "written"):
            # One object, put whole: a store shows it when all of it is there.
            self._system.pipe_file(f"{self._root}/{name}", content)
        return address

    def get(self) -> tuple[str, bytes]:
        where = f"{self._scheme}://{self._root}"
        with _explained(where, "read"):
            # fsspec remembers listings, and shares one file system in a process.
            self._system.invalidate_cache()
            path = self._root
            if not path.endswith(SUFFIX):
                listed = self._system.find(path)
                path = f"{path}/{_newest([str(p).rpartition('/')[2] for p in listed], where)}"
            content: bytes = self._system.cat_file(path)
            return f"{self._scheme}://{path}", content


def _newest(names: list[str], where: str) -> str:
    found = [name for name in names if _NAME.fullmatch(name)]
    if not found:
        raise InputError(f"there is no backup in {where}", hint="llmops backup --to puts one there")
    return max(found)


def _system(scheme: str) -> Any:
    try:
        import fsspec

        return fsspec.filesystem(scheme)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"{scheme}:// needs a package that is not installed",
            hint=f"pip install 'llmops[{EXTRAS[scheme]}]'",
        ) from error


@contextlib.contextmanager
def _explained(where: str, done: str) -> Iterator[None]:
    """Turn the errors of a disk and of stores into ours; each store's library has its own."""
    try:
        yield
    except LlmopsError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{where} does not exist", hint="check the path or the bucket") from error
    except Exception as error:
        if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
            raise InputError(
                f"{where} may not be {done} with the rights or credentials that were found",
                hint="check who may use it: a folder's mode, or the store's credentials",
            ) from error
        raise LlmopsError(
            f"{where} could not be {done} ({_why(error)})",
            hint="check its address, the network and the space there; then do it again",
        ) from error


def _why(error: Exception) -> str:
    """The kernel's words, which carry no secret; of a store's own errors no more than the name."""
    told = error.errno if type(error) is OSError else None
    return os.strerror(told) if told else type(error).__name__
