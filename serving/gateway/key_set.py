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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

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
    expires_at: float | None = None
    """When its life ends, by the clock alone; None for never."""
    retires_at: float | None = None
    """When it ends because it was rotated."""
    models: tuple[str, ...] = ()
    """What its requests may name as `model`; none given is every name of its own service."""

    @property
    def ends_at(self) -> float | None:
        """When it stops to open anything, whatever ends it; None for never."""
        return min(
            (end for end in (self.expires_at, self.retires_at) if end is not None), default=None
        )

    def opens(self, now: float) -> bool:
        """Whether it is neither revoked nor at its end."""
        return self.revoked_at is None and (self.ends_at is None or now < self.ends_at)

    def may_name(self, model: str, holder: str, service: str) -> bool:
        """Whether a request with this key, which is one of `service`'s, may name `model`, a name of
        the service `holder`."""
        return model in self.models if self.models else holder == service

    def document(self) -> dict[str, Any]:
        """Its record. What is as it was before there was such a field is left out, so that a
        gateway of that time reads it too."""
        unused = {"expires_at": None, "retires_at": None, "models": ()}
        return {n: v for n, v in asdict(self).items() if n not in unused or v != unused[n]}

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Key:
        """The key of a record; fields of a later version are passed over.

        Raises:
            TypeError: When a field is missing, or is none that decides when a key opens.
        """
        known = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        for name in ("revoked_at", "expires_at", "retires_at"):
            if not isinstance(known.get(name), (int, float, type(None))):
                raise TypeError(f"{name} is no time")
        return cls(**known | {"models": tuple(known.get("models", ()))})

    @property
    def operator(self) -> bool:
        """Whether it is llmops' own key."""
        return self.name == OPERATOR


def make_key(
    name: str, now: float, *, expires_at: float | None = None, models: Iterable[str] = ()
) -> tuple[Key, str]:
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
    key = Key(identifier, name, digest, now, expires_at=expires_at, models=tuple(models))
    return key, f"llmops-{identifier}-{secret}"


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
                service: tuple(Key.parse(key) for key in keys)
                for service, keys in document["services"].items()
            }
            return cls(int(document["version"]), services)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("it holds no list of keys") from error

    def dump(self) -> str:
        """The set as JSON, for `parse`."""
        services = {name: [key.document() for key in keys] for name, keys in self.services.items()}
        return json.dumps({"version": self.version, "services": services}, indent=1)

    def of(self, service: str) -> tuple[Key, ...]:
        """All keys of the service, revoked ones too, oldest first."""
        return self.services.get(service, ())

    def valid(self) -> Iterator[tuple[str, Key]]:
        """Every key that is not revoked, with its service; expired ones too."""
        for service, keys in self.services.items():
            yield from ((service, key) for key in keys if key.revoked_at is None)

    def add(self, service: str, key: Key) -> KeySet:
        """The set with one more key.

        Raises:
            InputError: When the service has a key of that name that is not revoked, expired or not.
        """
        if self._named(service, key.name):
            raise InputError(
                f"{service} has a key named '{key.name}'",
                hint=f"llmops keys rotate {service} {key.name} gives another in its place,"
                f" llmops keys revoke {service} {key.name} ends it",
            )
        return self._with(service, (*self.of(service), key))

    def rotate(
        self, service: str, name: str, now: float, overlap: float, expires_at: float | None = None
    ) -> tuple[KeySet, tuple[Key, str]]:
        """The set with a new key beside those of its name, which end after the overlap.

        One that ends before that ends when it would have. The new key may name what the newest one
        may; where that was made for a time, the new one is for as long, from now on.

        Args:
            service: Whose key it is.
            name: Name of the key, or its id.
            now: Unix seconds.
            overlap: Seconds in which the earlier ones still open.
            expires_at: When the new one ends, instead.

        Returns:
            The set; the new key, and its text, which is stored nowhere.

        Raises:
            InputError: When the service has none that is not revoked.
        """
        newest = self._named(service, self._found(service, name)[-1].name)[-1]
        lifetime = None if newest.expires_at is None else newest.expires_at - newest.created_at
        if expires_at is None and lifetime is not None:
            expires_at = now + lifetime
        made, text = make_key(newest.name, now, expires_at=expires_at, models=newest.models)
        ended = {k.id: _retiring(k, now + overlap) for k in self._named(service, newest.name)}
        kept = tuple(ended.get(key.id, key) for key in self.of(service))
        return self._with(service, (*kept, made)), (made, text)

    def revoke(self, service: str, name: str, now: float) -> tuple[KeySet, Key]:
        """The set without the keys of that name, or the one of that id; the newest, as revoked.

        Raises:
            InputError: When the service has none that is not revoked.
        """
        gone = {key.id: replace(key, revoked_at=now) for key in self._found(service, name)}
        kept = tuple(gone.get(key.id, key) for key in self.of(service))
        return self._with(service, kept), list(gone.values())[-1]

    def _found(self, service: str, name: str) -> tuple[Key, ...]:
        """The keys of that name or id that are not revoked, oldest first."""
        valid = [key for key in self.of(service) if key.revoked_at is None]
        found = tuple(key for key in valid if name in (key.name, key.id))
        if not found:
            named = dict.fromkeys(key.name for key in valid if not key.operator)
            known = ", ".join(named) or "none"
            raise InputError(f"{service} has no key '{name}'", hint=f"there are: {known}")
        return found

    def _named(self, service: str, name: str) -> tuple[Key, ...]:
        return tuple(k for k in self.of(service) if k.name == name and k.revoked_at is None)

    def put_back(self, service: str, saved: Iterable[Key]) -> KeySet:
        """The set with the keys of a backup; the same set when that changes nothing.

        A key that is known stays as it is here, revoked if either says so. llmops' own is not put
        beside one that is valid here.
        """
        own = any(key.operator and key.revoked_at is None for key in self.of(service))
        keys = {key.id: key for key in self.of(service)}
        for key in saved:
            here = keys.get(key.id)
            if here is not None and here.revoked_at is None and key.revoked_at is not None:
                keys[key.id] = replace(here, revoked_at=key.revoked_at)
            elif here is None and not (own and key.operator and key.revoked_at is None):
                keys[key.id] = key
        together = tuple(sorted(keys.values(), key=lambda key: key.created_at))
        return self if together == self.of(service) else self._with(service, together)

    def adopt(self, other: KeySet) -> KeySet:
        """The set with the keys of another in place of its own, but for llmops' own keys, which
        stay as they are here; the same set when that changes nothing."""
        together = {}
        for service in sorted({*self.services, *other.services}):
            own = tuple(key for key in self.of(service) if key.operator)
            if found := (*own, *(key for key in other.of(service) if not key.operator)):
                together[service] = found
        return self if together == dict(self.services) else KeySet(self.version + 1, together)

    def remove_service(self, service: str) -> KeySet:
        """The set without any key of the service; the same set when it had none."""
        if service not in self.services:
            return self
        left = {name: keys for name, keys in self.services.items() if name != service}
        return KeySet(self.version + 1, left)

    def _with(self, service: str, keys: tuple[Key, ...]) -> KeySet:
        return KeySet(self.version + 1, {**self.services, service: keys})


def _retiring(key: Key, end: float) -> Key:
    """The key, which opens nothing from `end` on; an earlier rotation's end stays."""
    return replace(key, retires_at=end if key.retires_at is None else min(end, key.retires_at))
