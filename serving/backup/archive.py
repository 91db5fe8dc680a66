"""An archive: a target's state as the bytes of one file, and back.

The format has a number. This version reads its own and older ones; of a newer one it says so, and
guesses nothing. A file that is damaged in any byte is refused whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmops.errors import InputError
from llmops.policies import Shelf
from llmops.policies import dumps as shelf_text
from llmops.policies import loads as shelf_of
from llmops.releases import History, dumps, loads
from llmops.saved import Access, Saved, SavedService
from serving.backup import tree
from serving.backup.sealing import BackupKey, NotOpened

FORMAT = 1
MANIFEST = "manifest.json"
SEALED = "secrets.sealed"
POLICIES = "policies.json"


@dataclass(frozen=True, slots=True)
class Header:
    """What can be told of an archive without its key. `key` is the id of the key that sealed it;
    empty when nothing is sealed."""

    format: int
    created_at: float
    version: str
    target: str
    where: Mapping[str, str]
    services: tuple[str, ...]
    key: str


def pack(saved: Saved, key: BackupKey | None) -> bytes:
    """The archive of a state. The same state gives the same bytes, but for what is sealed.

    Args:
        saved: The state; its secrets are left out without a key.
        key: What to seal the secrets with.
    """
    entries = {MANIFEST: _json(_manifest(saved, key))} | _plain(saved)
    if key is not None:
        entries[SEALED] = key.seal(_json(_secrets(saved)), _about(entries))
    return tree.write(entries)


def _manifest(saved: Saved, key: BackupKey | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "created_at": saved.created_at,
        "llmops": saved.version,
        "target": saved.target,
        "where": dict(saved.where),
        "services": [service.name for service in saved.services],
        "key": key.id if key else "",
    }


def _plain(saved: Saved) -> dict[str, bytes]:
    """The entries that anybody may read."""
    entries = {}
    for service in saved.services:
        entries[f"releases/{service.name}.json"] = dumps(service.history).encode()
        if service.access.keys:
            entries[f"keys/{service.name}.json"] = service.access.keys.encode()
    if saved.policies.entries:
        entries[POLICIES] = shelf_text(saved.policies).encode()
    return entries


def _secrets(saved: Saved) -> dict[str, Any]:
    services = {service.name: dict(service.access.secrets) for service in saved.services}
    return {"services": services, "shared": dict(saved.shared)}


def _about(entries: Mapping[str, bytes]) -> bytes:
    """What the seal also proves: every other entry."""
    return hashlib.sha256(tree.write({n: c for n, c in entries.items() if n != SEALED})).digest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def header(content: bytes, where: str) -> Header:
    """What an archive says of itself.

    Raises:
        InputError: When it is damaged, no archive, or of a newer format.
    """
    return _read(content, where)[0]


def unpack(content: bytes, where: str, key: BackupKey | None) -> tuple[Header, Saved]:
    """The state in an archive; without the key that sealed it, without its secrets.

    Args:
        content: The whole file.
        where: What to call it in an error.
        key: The key that it is to be opened and proved with.

    Raises:
        InputError: When it is damaged, no archive, of a newer format, or not made with the key.
    """
    told, entries = _read(content, where)
    opened = _opened(told, entries, where, key) if key else {}
    try:
        services = tuple(_service(name, entries, opened) for name in told.services)
        policies = shelf_of(entries[POLICIES].decode()) if POLICIES in entries else Shelf()
    except (KeyError, ValueError) as error:
        raise _damaged(where, f"it holds no record that can be read ({error})") from error
    saved = Saved(
        created_at=told.created_at,
        version=told.version,
        target=told.target,
        where=told.where,
        services=services,
        policies=policies,
        shared=opened.get("shared", {}),
    )
    return told, saved


def _service(name: str, entries: Mapping[str, bytes], opened: Mapping[str, Any]) -> SavedService:
    history: History = loads(entries[f"releases/{name}.json"].decode())
    if history.service != name:
        raise ValueError(f"the record of {name} is one of {history.service}")
    keys = entries.get(f"keys/{name}.json", b"").decode()
    return SavedService(history, Access(keys, opened.get("services", {}).get(name, {})))


def _opened(
    told: Header, entries: Mapping[str, bytes], where: str, key: BackupKey
) -> Mapping[str, Any]:
    if SEALED not in entries:
        raise InputError(
            f"{where} was made without a key, so a key cannot prove who made it",
            hint="leave --key-file out, if you trust the place it comes from",
        )
    if told.key != key.id:
        raise InputError(
            f"{where} was made with the key {told.key}, and this is the key {key.id}",
            hint="name the file of the other key with --key-file",
        )
    try:
        opened: dict[str, Any] = json.loads(key.open(entries[SEALED], _about(entries)))
    except NotOpened as error:
        raise InputError(
            f"{where} is not what was made with this key: something in it was changed",
            hint="take another backup; who could write to this one?",
        ) from error
    return opened


def _read(content: bytes, where: str) -> tuple[Header, dict[str, bytes]]:
    _check_format(content, where)
    try:
        entries = tree.read(content)
    except tree.Damaged as error:
        raise _damaged(where, str(error)) from error
    try:
        return _header(json.loads(entries[MANIFEST])), entries
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(where, "its manifest cannot be read") from error


def _check_format(content: bytes, where: str) -> None:
    """Refuse a newer format before anything else of it is judged by the rules of this one."""
    begin = tree.first(content)
    if begin is None or begin[0] != MANIFEST:
        raise InputError(
            f"{where} is not a backup of llmops, or its beginning is damaged",
            hint="llmops backup writes one",
        )
    try:
        found = json.loads(begin[1])["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(where, "its manifest cannot be read") from error
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            f"{where} has the format {found}, and this llmops reads up to {FORMAT}",
            hint="a newer llmops wrote it: install that, or take an older backup",
        )


def _header(document: Mapping[str, Any]) -> Header:
    return Header(
        format=int(document["format"]),
        created_at=float(document["created_at"]),
        version=str(document["llmops"]),
        target=str(document["target"]),
        where={str(k): str(v) for k, v in document["where"].items()},
        services=tuple(str(name) for name in document["services"]),
        key=str(document["key"]),
    )


def _damaged(where: str, why: str) -> InputError:
    return InputError(f"{where} is damaged: {why}", hint="nothing was changed; take another backup")
