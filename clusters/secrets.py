"""The secrets of a service in a cluster: API keys as hashes, llmops' own key, Ray's token.

Each is a Secret of its own, because each is read by others: gateways mount the hashes, Ray's pods
the token, and only llmops' commands read their key. They are edited by compare-and-swap, so that
two writers lose no key. Ray's token is made once: another would part the pods that have the first
from those that have the second, so one that is damaged is reported, never replaced. No message
carries what a Secret holds.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from clusters import names
from clusters.kept import Keeper, blank, checked_name, marked
from clusters.model import Manifest
from llmops.errors import InputError, TargetError
from llmops.releases import Conflict
from llmops.targets import KeyInfo
from serving.gateway import OPERATOR, Key, KeySet, fingerprint, make_key

COMPONENT = "keys"
OPERATOR_ENTRY = "key"
"""Key of the operator's Secret."""
TOKEN_ENTRY = "auth_token"  # noqa: S105 - what KubeRay calls the entry, not what is in it
TOKEN_BYTES = 32
TRIES = 20
"""How often an edit is made anew because another was quicker."""

Made = TypeVar("Made")


class SecretKeys:
    """The Secrets of a namespace's services.

    Args:
        client: Reads and writes Secrets.
        namespace: Where they are.
        clock: Unix seconds.
    """

    def __init__(
        self, client: Keeper, namespace: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock

    def list(self, service: str) -> tuple[KeyInfo, ...]:
        """All keys of the service, revoked ones too, oldest first."""
        return tuple(map(_info, self._all(service)))

    def version(self, service: str) -> str:
        """Version of the key set, for the routing table; `0` when there is none."""
        found = self._found(names.keys_secret(checked_name(service)))
        return "0" if found is None else str(self._keys(found).version)

    def create(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; returns it and its text, which is stored nowhere.

        Raises:
            InputError: When the name cannot be a key's, is llmops' own, or is in use.
        """
        _check_name(name)
        made, text = self._create(service, name, expires_at=expires_at, models=models)
        return _info(made), text

    def rotate(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name, which open for `overlap` seconds more; returns
        it and its text, which is stored nowhere.

        Raises:
            InputError: When the name is llmops' own, or the service has no such key.
        """
        _check_name(name)
        made, text = self._edit(
            service, lambda keys: keys.rotate(service, name, self._clock(), overlap, expires_at)
        )
        return _info(made), text

    def revoke(self, service: str, name: str) -> KeyInfo:
        """Revoke the keys of that name, or the one of that id.

        Raises:
            InputError: When the service has none that is not revoked.
        """
        return _info(self._edit(service, lambda keys: keys.revoke(service, name, self._clock())))

    def ensure(self, service: str) -> None:
        """Make what a service needs, where it is missing: a set of keys with llmops' own, and
        Ray's token. A key of llmops' own that opens nothing any more is made anew."""
        self.ray_token(service)
        name = names.operator_secret(service)
        for _ in range(TRIES):
            found = self._found(name)
            if self._opens(service, "" if found is None else self._entry(found, OPERATOR_ENTRY)):
                return
            with contextlib.suppress(InputError):  # the usual case: none whose text was lost
                self.revoke(service, OPERATOR)
            with contextlib.suppress(Conflict, InputError):  # another made one meanwhile: read it
                _, text = self._create(service, OPERATOR)
                self._put(service, found, name, {OPERATOR_ENTRY: text})
                return
        raise self._busy(name)

    def saved(self, service: str) -> str:
        """The records of a service's keys as a document, for `put_back`; empty without any."""
        keys = self._all(service)
        return KeySet(0, {service: keys}).dump() if keys else ""

    def put_back(self, service: str, document: str) -> None:
        """Put the keys of a backup back, as `KeySet.put_back` does. Idempotent.

        Raises:
            ValueError: When the document is none of keys.
        """
        keys = KeySet.parse(document).of(service)
        if KeySet(0, {service: self._all(service)}).put_back(service, keys).version:
            self._edit(service, lambda before: (before.put_back(service, keys), None))

    def put_back_operator(self, service: str, text: str) -> None:
        """Put the text of llmops' own key back, where there is none."""
        name = names.operator_secret(checked_name(service))
        if self._found(name) is None:
            self._put(service, None, name, {OPERATOR_ENTRY: text})

    def operator_key(self, service: str) -> str | None:
        """The text of llmops' own key; None when there is none. Changes nothing."""
        found = self._found(names.operator_secret(checked_name(service)))
        return None if found is None else self._entry(found, OPERATOR_ENTRY) or None

    def ray_token(self, service: str) -> str:
        """Ray's authentication token; made once.

        Raises:
            TargetError: When the Secret is there without one.
        """
        name = names.token_secret(checked_name(service))
        found = self._found(name)
        if found is None:
            token = secrets.token_hex(TOKEN_BYTES)
            try:
                self._put(service, None, name, {TOKEN_ENTRY: token}, immutable=True)
            except Conflict:  # another was quicker: theirs is the token
                return self.ray_token(service)
            return token
        if token := self._entry(found, TOKEN_ENTRY):
            return token
        hint = "it is not replaced, because pods that run use the one it held: put that back, or"
        raise self._damaged(name, TOKEN_ENTRY, f"{hint} destroy {service} and deploy it again")

    def _create(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[Key, str]:
        made, text = make_key(name, self._clock(), expires_at=expires_at, models=models)
        return self._edit(service, lambda keys: (keys.add(service, made), (made, text)))

    def _edit(self, service: str, edit: Callable[[KeySet], tuple[KeySet, Made]]) -> Made:
        """Write an edited set by compare-and-swap, reading again when another was quicker."""
        name = names.keys_secret(checked_name(service))
        for _ in range(TRIES):
            found = self._found(name)
            # A new set begins at a version that none before it had: a gateway that remembers a
            # Secret which was deleted must see that these are other keys.
            before = self._keys(found) if found else KeySet(int(self._clock()))
            keys, made = edit(before)
            with contextlib.suppress(Conflict):
                self._put(service, found, name, {names.KEYS_FILE: keys.dump()})
                return made
        raise self._busy(name)

    def _keys(self, found: Manifest) -> KeySet:
        """The set that a Secret holds."""
        try:
            return KeySet.parse(self._entry(found, names.KEYS_FILE))
        except ValueError as error:
            raise self._damaged(
                found["metadata"]["name"],
                names.KEYS_FILE,
                "delete the Secret, deploy again, and make new keys",
            ) from error

    def _all(self, service: str) -> tuple[Key, ...]:
        found = self._found(names.keys_secret(checked_name(service)))
        return () if found is None else self._keys(found).of(service)

    def _opens(self, service: str, text: str) -> bool:
        """Whether the text is that of llmops' own key, and it is not revoked."""
        valid = [key for key in self._all(service) if key.operator and key.revoked_at is None]
        return fingerprint(text) in [(key.id, key.sha256) for key in valid]

    def _found(self, name: str) -> Manifest | None:
        return self._client.get("Secret", name, self._namespace)

    def _entry(self, found: Manifest, key: str) -> str:
        """What a Secret's key holds, decoded; empty when it has none of that name."""
        try:
            encoded = (found.get("data") or {}).get(key, "")
            return base64.b64decode(encoded, validate=True).decode()
        except ValueError as error:
            name = found["metadata"]["name"]
            raise self._damaged(name, key, "delete the Secret, and deploy again") from error

    def _put(
        self,
        service: str,
        found: Manifest | None,
        name: str,
        entries: dict[str, str],
        *,
        immutable: bool = False,
    ) -> None:
        before = found or blank("Secret", name, self._namespace)
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in entries.items()}
        content: Manifest = {"type": "Opaque", "data": encoded}
        if immutable:
            content["immutable"] = True
        send = self._client.replace if found else self._client.create
        send(marked(before, service, COMPONENT) | content)

    def _damaged(self, name: str, key: str, hint: str) -> TargetError:
        return TargetError(
            f"Secret {name} in namespace {self._namespace} is damaged: its key '{key}' does not"
            " hold what llmops wrote",
            hint=hint,
        )

    def _busy(self, name: str) -> TargetError:
        return TargetError(
            f"Secret {name} in namespace {self._namespace} is written by others all the time",
            hint="try again in a moment",
        )


def _check_name(name: str) -> None:
    if name == OPERATOR:
        raise InputError(f"'{OPERATOR}' is the name of llmops' own key")


def _info(key: Key) -> KeyInfo:
    return KeyInfo(
        id=key.id,
        name=key.name,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        expires_at=key.ends_at,
        models=key.models,
    )
