"""All checks of this machine's runtime, and what its live release promises of the endpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from llmops.errors import InputError, TargetError
from llmops.knowing import neighbours
from llmops.opening import recorded
from llmops.planning import Plan
from llmops.policies import Finding
from llmops.releases import Release
from serving.auditing.check import Check, unchecked
from serving.auditing.inside import drift, files, log, settings, sockets, versions
from serving.auditing.records import leftover_keys, policies
from serving.auditing.routes import Route
from serving.auditing.running import components, holes
from serving.auditing.subject import Counted, Counts, Promises
from serving.gateway import PICO, counted
from serving.local import LocalTarget
from serving.runtime.control import Control
from serving.runtime.launcher import family
from serving.serve_config import application_name

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Here:
    """A service of this machine, from inside."""

    def __init__(self, target: LocalTarget, service: str) -> None:
        self.target = target
        self.service = service
        self.paths = target.runtime.paths

    @cached_property
    def live(self) -> Release:
        """The live release.

        Raises:
            InputError: When the service was never deployed here, or nothing of it serves.
        """
        self.target.history(self.service)
        live = self.target.store.read(self.service)[0].live
        if live is None:
            raise InputError(
                f"{self.service} has no live release to audit",
                hint=f"llmops history {self.service}",
            )
        return live

    @cached_property
    def host(self) -> dict[str, Any]:
        """The record of the runtime's host.

        Raises:
            TargetError: When none is up.
        """
        record = self.target.runtime.endpoint()
        if record is None:
            raise TargetError("the runtime is not up", hint=f"llmops status {self.service}")
        return record

    def require(self) -> None:
        """Do nothing where a runtime is up.

        Raises:
            TargetError: When none is: there is nothing to audit.
        """
        _ = self.host

    @cached_property
    def told(self) -> dict[str, Any]:
        """What the host tells of its inside."""
        return Control(self.paths.control).inside()

    @property
    def running(self) -> dict[str, str]:
        """Versions of what runs, by package, and of its `engine`."""
        planned = {"engine": self.live.plan.engine.version}
        return planned | self.target.versions() | dict(self.host.get("versions", {}))

    def sockets(self) -> Iterator[Finding]:
        found = sockets.listening(family(self.paths))
        yield from sockets.strangers(found, self.host["host"], self.host["port"])

    def files(self) -> Iterator[Finding]:
        yield from files.open_files(self.paths.home, self.paths.sockets)

    def log(self) -> Iterator[Finding]:
        yield from log.tampered(self.target.verify_audit(self.service), self.service)

    def mixed(self) -> Iterator[Finding]:
        running = self.host.get("versions", {})
        yield from versions.mixed(self.live.plan.engine.version, running, self.target.versions())

    def holes(self) -> Iterator[Finding]:
        yield from holes(self.running)

    def settings(self) -> Iterator[Finding]:
        for application, told in self.told["replicas"].items():
            if told is None:
                yield unchecked(f"the engine of {application}", "no replica of it tells")
            else:
                yield from settings.opened(application, told)

    def ray(self) -> Iterator[Finding]:
        yield from settings.unguarded(family(self.paths))

    def drift(self) -> Iterator[Finding]:
        state = self.target.runtime.state() or {"gateway": None}
        wanted = self.target.runtime.wanted()
        yield from drift.drifted(wanted, self.told["applications"], state["gateway"])

    def policies(self) -> Iterator[Finding]:
        held, keys = self.target.policies.read()[0].current(), self.target.keys(self.service)
        now, known = time.time(), components(self.running)
        beside = neighbours(self.target, recorded(self.live.plan), held, now)
        yield from policies(held, self.live, keys, known, now, neighbours=beside)

    def leftovers(self) -> Iterator[Finding]:
        yield from leftover_keys(self.target.keys(self.service), self.service, time.time())


def inside_checks(target: LocalTarget, service: str) -> tuple[Check, ...]:
    """The checks of this machine's runtime, for one of its services."""
    here = Here(target, service)
    return (
        Check("audit.sockets", "what listens", here.sockets),
        Check("audit.files", "files and folders", here.files),
        Check("audit.log", "the audit log", here.log),
        Check("audit.versions", "versions", here.mixed),
        Check("audit.holes", "known holes", here.holes),
        Check("audit.environment", "settings of the engine", here.settings),
        Check("audit.ray-token", "Ray's token", here.ray),
        Check("audit.drift", "what Serve was told", here.drift),
        Check("audit.policy", "the policies that hold", here.policies),
        Check("audit.leftover-key", "keys of earlier audits", here.leftovers),
    )


def promises_here(target: LocalTarget, service: str) -> Promises:
    """What the live release of a service of this machine promises.

    Raises:
        InputError: When nothing of it serves.
        TargetError: When the runtime is not up.
    """
    here = Here(target, service)
    plan = here.live.plan
    here.require()
    name = application_name(service, here.live.engine)
    try:
        told = here.told["replicas"].get(name)
        unknown = "" if told else "no replica of the live release tells"
    except TargetError as error:
        told, unknown = None, error.message
    return Promises(
        service=service,
        limits=plan.limits,
        context=int(plan.model.context.value),
        others=tuple(name for name in target.store.services() if name != service),
        tls=_needs_tls(plan),
        routes=tuple(Route(path, method) for method, path in (told or {}).get("routes", ())),
        routes_unknown=unknown,
    )


def counts_here(target: LocalTarget, service: str) -> Counts:
    """What this machine's record says that a key of a service has used."""
    usage = target.runtime.paths.usage

    def counts(key: str) -> Counted | None:
        found = counted(usage, f"{service}/{key}", time.time())
        return Counted(found[0], found[1] / PICO) if found else None

    return counts


def _needs_tls(plan: Plan) -> str:
    """Why an endpoint must speak TLS; empty where it need not."""
    if plan.tls is not None:
        return "its release has a certificate for it"
    allowed = bool(plan.target.get("allow_plaintext"))
    if plan.host not in LOOPBACK and not allowed:
        return f"it listens on {plan.host}, where others reach it"
    return ""
