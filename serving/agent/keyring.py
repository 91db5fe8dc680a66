"""API keys from a command's side: made here, known to the gateways when a call returns."""

from __future__ import annotations

from collections.abc import Callable

from llmops.targets import KeyInfo
from serving.agent import keys
from serving.agent.blobs import Blobs
from serving.agent.keys import Edit
from serving.agent.pace import Pace
from serving.agent.presence import Watch
from serving.gateway import Key, KeySet, make_key


class StoreKeys:
    """The keys in a store.

    Args:
        blobs: The store.
        watch: Looks whether an agent is there to take them over.
        clock: Unix seconds.
        sleep: How to pass seconds.
        pace: How often what is looked at.
    """

    def __init__(
        self,
        blobs: Blobs,
        watch: Watch,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        pace: Pace,
    ) -> None:
        self._blobs, self._watch = blobs, watch
        self._clock, self._sleep, self._pace = clock, sleep, pace

    def of(self, service: str) -> tuple[KeyInfo, ...]:
        """The service's keys, revoked ones too, oldest first."""
        return tuple(info(key) for key in keys.read_keys(self._blobs)[0].of(service))

    def opens(self, service: str, identifier: str) -> bool:
        """Whether the key of that id opens anything now."""
        found = [k for k in keys.read_keys(self._blobs)[0].of(service) if k.id == identifier]
        return any(key.opens(self._clock()) for key in found)

    def declare(self, service: str, name: str) -> str:
        """Make a key ahead of the release that it is for; its text. Nobody is waited for."""
        made, text = make_key(name, self._clock())
        keys.edit_keys(self._blobs, lambda before: before.add(service, made))
        return text

    def create(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; the gateways know it when this returns.

        Raises:
            UnreachableError: When no agent is there: then nothing is made.
            InputError: When the service has a key of that name.
        """
        self._needs_agent()
        made, text = make_key(name, self._clock(), expires_at=expires_at, models=models)
        self._edit(lambda before: before.add(service, made))
        return info(made), text

    def rotate(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name; the gateways know it when this returns.

        Raises:
            UnreachableError: When no agent is there: then nothing is made.
            InputError: When there is none of that name.
        """
        self._needs_agent()
        made: list[tuple[Key, str]] = []

        def edit(before: KeySet) -> KeySet:
            after, one = before.rotate(service, name, self._clock(), overlap, expires_at)
            made[:] = [one]
            return after

        self._edit(edit)
        key, text = made[0]
        return info(key), text

    def revoke(self, service: str, name: str) -> KeyInfo:
        """Revoke a key; written in any case, and known to the gateways when this returns.

        Raises:
            TargetError: When no agent is there to tell them.
            InputError: When there is none of that name or id.
        """
        revoked: list[Key] = []

        def edit(before: KeySet) -> KeySet:
            after, one = before.revoke(service, name, self._clock())
            revoked[:] = [one]
            return after

        self._edit(edit)
        return info(revoked[0])

    def _needs_agent(self) -> None:
        for _ in self._watch.found():
            pass

    def _edit(self, edit: Edit) -> None:
        after = keys.edit_keys(self._blobs, edit)
        for _ in keys.taken_over(
            self._blobs, after.version, self._watch, sleep=self._sleep, pace=self._pace
        ):
            pass


def info(key: Key) -> KeyInfo:
    """A key as it may be shown."""
    return KeyInfo(
        key.id, key.name, key.created_at, key.revoked_at, expires_at=key.ends_at, models=key.models
    )
