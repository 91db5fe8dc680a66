"""API keys in a file: kept as hashes, compared in constant time.

On a machine the file is the only place keys are kept; it is 0600, and one that others could read
or write is refused. In a pod it is a Secret that the kubelet has mounted: owned by root, reached by
links, readable by the pod's own group; whoever opens it says so, and that is all that is accepted
beyond. Only the file on a machine is ever written.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from llmops.errors import LlmopsError
from serving.gateway.key_set import Key, KeySet, fingerprint, make_key

__all__ = [
    "Key", "KeyRing", "adopt_keys", "create_key", "list_keys", "private", "put_back_keys",
    "remove_service", "revoke_key", "rotate_key", "save_keys",
]  # fmt: skip

LOCK_SECONDS = 30.0
"""How long a writer waits for another; each holds the lock for milliseconds."""

ROOT = 0

_NOBODY = hashlib.sha256(b"nobody").hexdigest()


class KeyRing:
    """The keys of every service, as the gateway uses them."""

    def __init__(
        self, path: Path, *, mounted: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        """Read the keys.

        Args:
            path: The file.
            mounted: Whether it is a Secret that a kubelet mounts.
            clock: Unix seconds.
        """
        self._clock = clock
        self._path = path
        self._mounted = mounted
        self._keys: dict[str, tuple[str, Key]] = {}
        self.version = ""
        """Version of the key set that was read last."""
        self.reload()

    def reload(self) -> None:
        """Read the file again; keys that were revoked stop working now.

        Raises:
            LlmopsError: When others can read or write the file.
        """
        keys = _read(self._path, mounted=self._mounted)
        self._keys = {key.id: (service, key) for service, key in keys.valid()}
        self.version = str(keys.version)

    def ids(self) -> set[str]:
        """Ids of the keys that are valid now."""
        return set(self._keys)

    def find(self, text: str) -> tuple[str, Key] | None:
        """The service and key that `text` is; None when it is no valid key, or has expired.

        An unknown id costs the same hash and comparison as a known one.
        """
        identifier, given = fingerprint(text)
        service, key = self._keys.get(identifier, ("", None))
        same = hmac.compare_digest(given, key.sha256 if key else _NOBODY)
        return (service, key) if same and key is not None and key.opens(self._clock()) else None

    @staticmethod
    def version_of(path: Path, *, mounted: bool = False) -> str:
        """Version of the key set: changes when a key is made or revoked."""
        return str(_read(path, mounted=mounted).version)


def create_key(
    path: Path,
    service: str,
    name: str,
    *,
    expires_at: float | None = None,
    models: Iterable[str] = (),
) -> tuple[Key, str]:
    """Make a key; returns it and its text, which is stored nowhere.

    Raises:
        InputError: When the name is none that metrics and audit lines can carry, or the service
            has a key of that name that is not revoked.
    """
    made, text = make_key(name, time.time(), expires_at=expires_at, models=models)
    with _locked(path):
        _write(path, _read(path).add(service, made))
    return made, text


def rotate_key(
    path: Path, service: str, name: str, *, overlap: float, expires_at: float | None = None
) -> tuple[Key, str]:
    """Make a key in place of those of its name, as `KeySet.rotate` does; returns it and its text.

    Raises:
        InputError: When the service has none that is not revoked.
    """
    with _locked(path):
        keys, made = _read(path).rotate(service, name, time.time(), overlap, expires_at)
        _write(path, keys)
    return made


def revoke_key(path: Path, service: str, name: str) -> Key:
    """Revoke the keys of that name, or the one of that id; returns the newest.

    Raises:
        InputError: When the service has none that is not revoked.
    """
    with _locked(path):
        keys, revoked = _read(path).revoke(service, name, time.time())
        _write(path, keys)
    return revoked


def list_keys(path: Path, service: str) -> list[Key]:
    """All keys of the service, revoked ones too, oldest first."""
    return list(_read(path).of(service))


def save_keys(path: Path, service: str) -> str:
    """The records of a service's keys as a document, for `put_back_keys`; empty without any."""
    keys = _read(path).of(service)
    return KeySet(0, {service: keys}).dump() if keys else ""


def put_back_keys(path: Path, service: str, document: str) -> bool:
    """Put the keys of a backup back, as `KeySet.put_back` does; whether that changed anything.

    Raises:
        ValueError: When the document is none of keys.
    """
    saved = KeySet.parse(document).of(service)
    with _locked(path):
        before = _read(path)
        after = before.put_back(service, saved)
        if after is not before:
            _write(path, after)
    return after is not before


def adopt_keys(path: Path, keys: KeySet) -> bool:
    """Have the keys of a set that is kept elsewhere, as `KeySet.adopt` does; whether that changed
    anything."""
    with _locked(path):
        before = _read(path)
        after = before.adopt(keys)
        if after is not before:
            _write(path, after)
    return after is not before


def remove_service(path: Path, service: str) -> None:
    """Forget all keys of the service. Idempotent."""
    with _locked(path):
        before = _read(path)
        after = before.remove_service(service)
        if after is not before:
            _write(path, after)


def private(found: os.stat_result, *, mounted: bool, user: int, groups: frozenset[int]) -> bool:
    """Whether nobody else can read or write a file.

    Args:
        found: What `fstat` says of it.
        mounted: Whether a kubelet may have mounted it: then it may also be read by a group that
            this process is in, if root owns it. That is what `fsGroup` makes of a Secret's file.
        user: This process's user.
        groups: The groups that this process is in.
    """
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 == 0:
        return found.st_uid in (ROOT, user)
    only_group_reads = mode & 0o077 == stat.S_IRGRP
    return mounted and only_group_reads and found.st_uid == ROOT and found.st_gid in groups


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_suffix(".lock"), mode=0o600, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise LlmopsError(
            f"{lock.lock_file} was held by another command for {LOCK_SECONDS:g} s",
            hint="wait for the other command to end, then try again",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _read(path: Path, *, mounted: bool = False) -> KeySet:
    try:
        return KeySet.parse(_content(path, mounted=mounted))
    except FileNotFoundError:
        return KeySet()
    except OSError as error:
        raise LlmopsError(
            f"{path} is not a file of keys: {error.strerror}",
            hint="the pod needs fsGroup, and the Secret's volume defaultMode 0440"
            if mounted
            else "it must be a plain file of your own, neither a link nor a directory",
        ) from error
    except ValueError as error:
        raise LlmopsError(
            f"{path} is damaged: it holds no list of keys",
            hint="llmops wrote the Secret: deploy again, and make new keys"
            if mounted
            else "move it away, deploy again, and make new keys",
        ) from error


def _content(path: Path, *, mounted: bool) -> str:
    """The file's text. A kubelet's files are links; on a machine a link is refused."""
    links = 0 if mounted else os.O_NOFOLLOW
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | links)) as file:
        groups = frozenset((os.getegid(), *os.getgroups()))
        found = os.fstat(file.fileno())
        if not private(found, mounted=mounted, user=os.getuid(), groups=groups):
            raise LlmopsError(
                f"{path} can be read by others",
                hint="mount the Secret with defaultMode 0440, and give the pod an fsGroup"
                if mounted
                else f"chmod 600 {path}",
            )
        return file.read()


def _write(path: Path, keys: KeySet) -> None:
    """Replace the file whole, so that a reader sees the old keys or the new ones."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)  # what a killed writer left
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(keys.dump())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    # A revocation that a power cut undoes would be none: the rename is made to last too.
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
