"""What opens the doors of this machine's services, as a backup takes it and a restore puts it back.

Key records are hashes, and any backup has them; the operator's keys and the files of TLS are
secret, and only sealed ones have these. What is here is never overwritten without being told to,
and no revoked key becomes valid.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from llmops.errors import LlmopsError, RefusedError
from llmops.saved import Access
from serving.gateway import put_back_keys, save_keys
from serving.locking import checked_name
from serving.runtime.launcher import private_directory

OPERATOR = "operator-key"
SHARED = ("tls",)
"""Folders below the home whose files are secrets of the whole machine."""

MOST_BYTES = 1 << 20
"""Of one such file: keys and certificates have a few KiB."""


class FileVault:
    """Implements `llmops.targets.Vault` below a home.

    Args:
        home: The home.
        keys: The file of key records.
        reload: Tells a running gateway that the key set has changed.
    """

    def __init__(self, home: Path, keys: Path, reload: Callable[[], None]) -> None:
        self._home, self._keys, self._reload = home, keys, reload

    def read(self, service: str) -> Access:
        """The service's key records, and the operator's key."""
        try:
            secrets = {OPERATOR: self._operator(service).read_text()}
        except FileNotFoundError:
            secrets = {}
        return Access(save_keys(self._keys, service), secrets)

    def write(self, service: str, access: Access) -> None:
        """Put back what is missing; the gateway knows it when this returns."""
        operator = self._operator(service)
        text = access.secrets.get(OPERATOR)
        if text and not operator.exists():
            private_directory(operator.parent)
            _write(operator, text.encode())
        if not access.keys:
            return
        try:
            changed = put_back_keys(self._keys, service, access.keys)
        except ValueError as error:
            raise LlmopsError(f"the backup's keys of {service} cannot be read") from error
        if changed:
            self._reload()

    def read_shared(self) -> Mapping[str, str]:
        """The files of TLS by their path below the home, base64."""
        found = {}
        for folder in SHARED:
            for file in sorted((self._home / folder).rglob("*")):
                if file.is_file() and not file.is_symlink() and file.stat().st_size <= MOST_BYTES:
                    name = file.relative_to(self._home).as_posix()
                    found[name] = base64.b64encode(file.read_bytes()).decode()
        return found

    def write_shared(self, files: Mapping[str, str], *, replace: bool) -> None:
        """Put back the files of TLS that are missing; all are private to this user.

        Raises:
            RefusedError: When one is here with another content, and may not be replaced.
        """
        wanted = {self._shared(name): base64.b64decode(text) for name, text in files.items()}
        differ = [file for file, text in wanted.items() if _differs(file, text)]
        if differ and not replace:
            raise RefusedError(
                f"{', '.join(map(str, differ))}: here is another than in the backup",
                hint="--replace puts the backup's in its place",
            )
        for file, content in wanted.items():
            if not file.exists() or file in differ:
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _write(file, content)

    def _operator(self, service: str) -> Path:
        return self._home / "operator-keys" / checked_name(service)

    def _shared(self, name: str) -> Path:
        """Where a file belongs. A name comes from an archive: it must stay below its folder."""
        parts = PurePosixPath(name).parts
        if len(parts) < 2 or parts[0] not in SHARED or ".." in parts:
            raise LlmopsError(f"the backup has a file {name[:80]!r}, which belongs nowhere here")
        return self._home.joinpath(*parts)


def _differs(file: Path, content: bytes) -> bool:
    return file.exists() and file.read_bytes() != content


def _write(file: Path, content: bytes) -> None:
    """Put a private file in place whole: a reader, or a crash, sees it as it was or as it is."""
    whole = file.with_name(f"{file.name}.new")
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
    whole.replace(file)
