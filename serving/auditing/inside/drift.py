"""Drift: what Serve holds against what the records say it was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmops.policies import Finding
from serving.auditing.telling import finding

FIX = "deploy again: the whole config is written anew from the records"


def drifted(
    wanted: Mapping[str, Any], held: Mapping[str, Any], gateway: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Applications that are missing, extra or not as they were told to be.

    Args:
        wanted: The config, as it is rendered from the records.
        held: Of each application, by name, the config that Serve holds.
        gateway: What the gateway tells of the table that it uses.
    """
    named = {app["name"]: app for app in wanted["applications"]}
    for name in sorted(named.keys() - held.keys()):
        yield _drift(f"{name} does not run", f"Serve has {_names(held)}")
    for name in sorted(held.keys() - named.keys()):
        yield _drift(f"{name} runs, and no release says so", f"the records have {_names(named)}")
    for name in sorted(named.keys() & held.keys()):
        for path, should, found in differences(named[name], held[name]):
            yield _drift(f"{name}: {path} is not what the release says",
                         f"found {_short(found)}, the release says {_short(should)}")  # fmt: skip
    if gateway is not None:
        yield from _table(wanted, gateway)


def _table(wanted: Mapping[str, Any], gateway: Mapping[str, Any]) -> Iterator[Finding]:
    """The shares that the gateway gives, against those that it was told."""
    table = wanted["applications"][0]["deployments"][0]["user_config"]["services"]
    for service, entry in table.items():
        told = {str(one["release"]): one["share"] for one in entry["releases"]}
        given = gateway["services"].get(service, {}).get("releases")
        if given != told:
            yield _drift(f"the gateway shares {service}'s requests in another way",
                         f"found {given}, the records say {told}")  # fmt: skip


def differences(should: Any, found: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where what was found is not what it should be: only what it should be is looked at, since
    Serve adds its own defaults."""
    if isinstance(should, Mapping) and isinstance(found, Mapping):
        for key, value in should.items():
            yield from differences(value, found.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(should, Sequence) and not isinstance(should, str):
        if not isinstance(found, Sequence) or len(found) != len(should):
            yield path, should, found
            return
        for at, (one, other) in enumerate(zip(should, found, strict=True)):
            yield from differences(one, other, f"{path}[{at}]")
    elif should != found:
        yield path, should, found


def _drift(message: str, proof: str) -> Finding:
    return finding("audit.drift", message, proof, FIX)


def _names(apps: Mapping[str, Any]) -> str:
    return ", ".join(sorted(apps)) or "nothing"


def _short(value: Any) -> str:
    return "nothing" if value is None else str(value)[:120]
