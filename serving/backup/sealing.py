"""The key of a backup: a file of the user's own, and what is sealed and proved with it.

AES-256-GCM over the secrets, with everything else in the archive as its associated data: with the
key it is proved that the whole archive was made with it, and not only that it is intact. Without
the key nothing is sealed, so no secret is ever in an archive in clear. The key itself is in none.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from llmops.errors import InputError

PREFIX = "llmops-backup-key-1"
BYTES = 32
NONCE_BYTES = 12
"""What AES-GCM is made for; drawn anew for each archive."""

_FORM = re.compile(rf"{PREFIX} ([A-Za-z0-9_-]{{43}}=)\n?")


class NotOpened(Exception):
    """The seal does not open: another key, or something was changed since."""


@dataclass(frozen=True, slots=True)
class BackupKey:
    """A key; its id may be shown."""

    raw: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Tells keys apart, and says nothing of the key: a hash of one cannot be turned back."""
        return hashlib.sha256(b"llmops backup key id" + self.raw).hexdigest()[:16]

    def seal(self, content: bytes, about: bytes) -> bytes:
        """`content` sealed together with what it is about, which stays readable."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self.raw).encrypt(nonce, content, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """What was sealed.

        Raises:
            NotOpened: When it was sealed with another key, or one of the two was changed.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return AESGCM(self.raw).decrypt(nonce, rest, about)
        except (InvalidTag, ValueError) as error:
            raise NotOpened from error


def make_key_file(path: Path) -> BackupKey:
    """Make a key in a new file that only its owner can read.

    Raises:
        InputError: When there is a file of that name: a key that is overwritten opens no backup.
    """
    key = BackupKey(secrets.token_bytes(BYTES))
    text = f"{PREFIX} {base64.urlsafe_b64encode(key.raw).decode()}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(
            f"{path} exists, and a key is never overwritten", hint="name another file"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return key


def read_key_file(path: Path) -> BackupKey:
    """The key in a file.

    Raises:
        InputError: When it cannot be read, is no key, or can be read by others.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1024).decode("ascii", "replace")
    except OSError as error:
        raise InputError(
            f"the key {path} cannot be read: {error.strerror}",
            hint="llmops backup key FILE makes one",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(f"the key {path} can be read by others", hint=f"chmod 600 {path}")
    match = _FORM.fullmatch(text)
    if match is None:
        raise InputError(f"{path} is no key of a backup", hint="llmops backup key FILE makes one")
    return BackupKey(base64.urlsafe_b64decode(match[1]))
