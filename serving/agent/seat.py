"""The key that this user's own commands ask with: made when it is first needed, kept here alone."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

from serving.agent import desk
from serving.agent.keyring import StoreKeys
from serving.gateway import fingerprint

FOLDER = "agent-keys"
LONGEST = 50
"""Characters of a key's name that are of the user and the host."""


def key(home: Path, store: str, service: str, keys: StoreKeys) -> str:
    """The key's text: of a 0600 file, or of a new key where that one opens nothing any more."""
    place = hashlib.sha256(store.encode()).hexdigest()[:16]
    file = home / FOLDER / place / service
    if file.exists():
        text = file.read_text()
        if keys.opens(service, fingerprint(text)[0]):
            return text
    _, text = keys.create(service, _name())
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(file, text)
    return text


def _name() -> str:
    """A name that says whose it is, and that no other key has."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", ".", desk.who()).strip(".-")[:LONGEST]
    return f"{plain or 'user'}.{secrets.token_hex(3)}"


def _write(file: Path, text: str) -> None:
    whole = file.with_suffix(".new")
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.write(text)
    whole.replace(file)
