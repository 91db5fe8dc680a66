"""API keys: made, kept as hashes, compared in constant time.

A key is `llmops-<id>-<secret>`: the id finds the record, the secret has 256 random bits. Because it
is random and long, one SHA-256 is the right hash: there is nothing to guess, so nothing for a slow
password hash to slow down. The file is the only place keys are kept; it is 0600, and a file that
others could read or write is refused. The text of a key exists once, when it is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from llmops.errors import InputError, LlmopsError

OPERATOR = "operator"
"""Name of the key that llmops' own commands use on the machine that runs the service."""

LOCK_SECONDS = 30.0
"""How long a writer waits for another; each holds the lock for milliseconds."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_FORM = re.compile(r"llmops-([0-9a-f]{16})-([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. Times are Unix seconds."""

    id: str
    name: str
    sha256: str
    created_at: float
    revoked_at: float | None = None

    @property
    def operator(self) -> bool:
        """Whether it is the machine's own key."""
        return self.name == OPERATOR


class KeyRing:
    """The keys of every service, as the gateway uses them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, tuple[str, Key]] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file again; keys that were revoked stop working now.

        Raises:
            LlmopsError: When others can read or write the file.
        """
        document = _read(self._path)
        self._keys = {
            key.id: (service, key)
            for service, keys in _services(document).items()
            for key in keys
            if key.revoked_at is None
        }

    def ids(self) -> set[str]:
        """Ids of the keys that are valid now."""
        return set(self._keys)

    def find(self, text: str) -> tuple[str, Key] | None:
        """The service and key that `text` is; None when it is no valid key.

        An unknown id costs the same hash and comparison as a known one.
        """
        match = _FORM.fullmatch(text)
        identifier, secret = match.groups() if match else ("", text)
        service, key = self._keys.get(identifier, ("", None))
        given = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        same = hmac.compare_digest(given, key.sha256 if key else _NOBODY)
        return (service, key) if same and key is not None else None

    @staticmethod
    def version_of(path: Path) -> str:
        """Version of the key set: changes when a key is made or revoked."""
        return str(_read(path)["version"])


def create_key(path: Path, service: str, name: str) -> tuple[Key, str]:
    """Make a key; returns it and its text, which is stored nowhere.

    Raises:
        InputError: When the name is none that metrics and audit lines can carry, or the service
            has a key of that name that is not revoked.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} cannot be a key's name",
            hint="use letters, digits, '.', '_' and '-', at most 63, a letter or digit first",
        )
    identifier, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    made = Key(identifier, name, digest, time.time())
    with _locked(path):
        document = _read(path)
        services = _services(document)
        if any(k.name == name and k.revoked_at is None for k in services.get(service, [])):
            raise InputError(
                f"{service} has a key named '{name}'",
                hint=f"llmops keys revoke {service} {name}, or choose another name",
            )
        services.setdefault(service, []).append(made)
        _write(path, document["version"] + 1, services)
    return made, f"llmops-{identifier}-{secret}"


def revoke_key(path: Path, service: str, name: str) -> Key:
    """Revoke the key of that name or id.

    Raises:
        InputError: When the service has none that is not revoked.
    """
    with _locked(path):
        document = _read(path)
        services = _services(document)
        keys = services.get(service, [])
        for index, key in enumerate(keys):
            if name in (key.name, key.id) and key.revoked_at is None:
                keys[index] = replace(key, revoked_at=time.time())
                _write(path, document["version"] + 1, services)
                return keys[index]
    known = ", ".join(k.name for k in keys if k.revoked_at is None and not k.operator) or "none"
    raise InputError(f"{service} has no key '{name}'", hint=f"there are: {known}")


def list_keys(path: Path, service: str) -> list[Key]:
    """All keys of the service, revoked ones too, oldest first."""
    return _services(_read(path)).get(service, [])


def remove_service(path: Path, service: str) -> None:
    """Forget all keys of the service. Idempotent."""
    with _locked(path):
        document = _read(path)
        services = _services(document)
        if services.pop(service, None) is not None:
            _write(path, document["version"] + 1, services)


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


def _services(document: dict[str, Any]) -> dict[str, list[Key]]:
    return {service: [Key(**key) for key in keys] for service, keys in document["services"].items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor) as file:
            found = os.fstat(file.fileno())
            if found.st_mode & 0o077 or found.st_uid not in (0, os.getuid()):
                raise LlmopsError(f"{path} can be read by others", hint=f"chmod 600 {path}")
            document: dict[str, Any] = json.load(file)
        _services(document)
        int(document["version"])
    except FileNotFoundError:
        return {"version": 0, "services": {}}
    except OSError as error:
        raise LlmopsError(
            f"{path} is not a file of keys: {error.strerror}",
            hint="it must be a plain file of your own, neither a link nor a directory",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LlmopsError(
            f"{path} is damaged: it holds no list of keys",
            hint="move it away, deploy again, and make new keys",
        ) from error
    return document


def _write(path: Path, version: int, services: dict[str, list[Key]]) -> None:
    """Replace the file whole, so that a reader sees the old keys or the new ones."""
    document = {
        "version": version,
        "services": {name: [asdict(key) for key in keys] for name, keys in services.items()},
    }
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)  # what a killed writer left
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    # A revocation that a power cut undoes would be none: the rename is made to last too.
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
