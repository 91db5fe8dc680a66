"""The set of API keys as a value: its document, and every edit of it.

Wherever the document is kept (a file of one's own, a Secret of a cluster), the edits are these. A
key is `llmops-<id>-<secret>`: the id finds the record, the secret has 256 random bits. Because it
is random and long, one SHA-256 is the right hash: there is nothing to guess, so nothing for a slow
password hash to slow down. The text of a key exists once, when it is made.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from llmops.errors import InputError

OPERATOR = "operator"
"""Name of the key that llmops' own commands use."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_FORM = re.compile(r"llmops-([0-9a-f]{16})-([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. Times are Unix seconds."""

    id: str
    name: str
    sha256: str = field(repr=False)
    created_at: float
    revoked_at: float | None = None

    @property
    def operator(self) -> bool:
        """Whether it is llmops' own key."""
        return self.name == OPERATOR


def make_key(name: str, now: float) -> tuple[Key, str]:
    """A new key, which is in no set yet, and its text, which is stored nowhere.

    Raises:
        InputError: When the name is none that metrics and audit lines can carry.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} cannot be a key's name",
            hint="use letters, digits, '.', '_' and '-', at most 63, a letter or digit first",
        )
    identifier, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return Key(identifier, name, digest, now), f"llmops-{identifier}-{secret}"


def fingerprint(text: str) -> tuple[str, str]:
    """The id that a key's text names, and the hash of its secret.

    A text that is no key's has the id `''`, and costs the same hash.
    """
    match = _FORM.fullmatch(text)
    identifier, secret = match.groups() if match else ("", text)
    return identifier, hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of every service, oldest first. An edit gives another set with the next version."""

    version: int = 0
    """Changes when a key is made or revoked; a gateway reads the keys again when it does."""
    services: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> KeySet:
        """The set that a document says.

        Raises:
            ValueError: When it is no set of keys.
        """
        try:
            document = json.loads(text)
            services = {
                service: tuple(Key(**key) for key in keys)
                for service, keys in document["services"].items()
            }
            return cls(int(document["version"]), services)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("it holds no list of keys") from error

    def dump(self) -> str:
        """The set as JSON, for `parse`."""
        services = {name: [asdict(key) for key in keys] for name, keys in self.services.items()}
        return json.dumps({"version": self.version, "services": services}, indent=1)

    def of(self, service: str) -> tuple[Key, ...]:
        """All keys of the service, revoked ones too, oldest first."""
        return self.services.get(service, ())

    def valid(self) -> Iterator[tuple[str, Key]]:
        """Every key that is not revoked, with its service."""
        for service, keys in self.services.items():
            yield from ((service, key) for key in keys if key.revoked_at is None)

    def add(self, service: str, key: Key) -> KeySet:
        """The set with one more key.

        Raises:
            InputError: When the service has a key of that name that is not revoked.
        """
        if any(k.name == key.name and k.revoked_at is None for k in self.of(service)):
            raise InputError(
                f"{service} has a key named '{key.name}'",
                hint=f"llmops keys revoke {service} {key.name}, or choose another name",
            )
        return self._with(service, (*self.of(service), key))

    def revoke(self, service: str, name: str, now: float) -> tuple[KeySet, Key]:
        """The set without the key of that name or id, and the key as revoked.

        Raises:
            InputError: When the service has none that is not revoked.
        """
        keys = self.of(service)
        valid = [key for key in keys if key.revoked_at is None]
        found = next((key for key in valid if name in (key.name, key.id)), None)
        if found is None:
            known = ", ".join(key.name for key in valid if not key.operator) or "none"
            raise InputError(f"{service} has no key '{name}'", hint=f"there are: {known}")
        revoked = replace(found, revoked_at=now)
        return self._with(service, tuple(revoked if k is found else k for k in keys)), revoked

    def remove_service(self, service: str) -> KeySet:
        """The set without any key of the service; the same set when it had none."""
        if service not in self.services:
            return self
        left = {name: keys for name, keys in self.services.items() if name != service}
        return KeySet(self.version + 1, left)

    def _with(self, service: str, keys: tuple[Key, ...]) -> KeySet:
        return KeySet(self.version + 1, {**self.services, service: keys})
