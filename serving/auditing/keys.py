"""Keys of an audit's own: made for it and revoked by it, so that nobody's allowance is spent."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from llmops.errors import InputError, LlmopsError, TargetError
from llmops.targets import KeyInfo

PREFIX = "audit-"
"""What the names of such keys begin with."""


@dataclass(frozen=True, slots=True)
class AuditKey:
    """A key and the name that it is told by."""

    name: str
    text: str = field(repr=False)


class Maker(Protocol):
    """Makes keys and revokes them; a target does."""

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]: ...

    def revoke_key(self, service: str, name: str) -> object: ...


class TemporaryKeys:
    """Keys for the time of an audit: at the end of the `with` all are revoked."""

    def __init__(self, maker: Maker, service: str) -> None:
        self._maker = maker
        self._service = service
        self._mark = secrets.token_hex(3)
        self._made: list[str] = []
        self.texts: dict[str, str] = {}
        """Names of all that were made, by text: what must not be shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failed: LlmopsError | None = None
        for name in list(self._made):
            try:
                self._revoke(name)
            except LlmopsError as problem:  # the others are revoked all the same
                failed = problem
        if failed is not None:
            raise TargetError(
                f"keys of this audit may still open {self._service}: {failed.message}",
                hint="; ".join(f"llmops keys revoke {self._service} {n}" for n in self._made),
            ) from failed

    def make(self, *, expires_at: float | None = None) -> AuditKey:
        """One more key."""
        name = f"{PREFIX}{self._mark}-{len(self.texts) + 1}"
        self._made.append(name)  # first: what was made by a call that broke off is revoked too
        _, text = self._maker.create_key(self._service, name, expires_at=expires_at)
        self.texts[text] = name
        return AuditKey(name, text)

    def revoke(self, key: AuditKey) -> None:
        """Revoke a key now."""
        self._revoke(key.name)

    def _revoke(self, name: str) -> None:
        with contextlib.suppress(InputError):  # there is none: it was never made
            self._maker.revoke_key(self._service, name)
        self._made.remove(name)
