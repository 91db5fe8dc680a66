"""The target `local`: a service on this machine.

Composes the models' store, the releases' records and the runtime into the ports that the flow
drives. It holds no state of its own: everything is in files under its home, and in the runtime.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from llmops.errors import InputError, TargetError
from llmops.events import Flow, Previewed, Progress
from llmops.planning import Facts, Layout, LiveRelease, Plan, TlsFiles
from llmops.policies import PolicyStore
from llmops.releases import (
    Figures,
    Release,
    ReleaseStore,
    Seen,
    State,
    Summary,
    figures_of,
    shadows_of,
)
from llmops.spec import OWN, Deployment
from llmops.spec import LocalTarget as Local
from llmops.targets import KeyInfo, ReleaseStatus, ServiceStatus
from llmops.upgrading import Upgrade
from serving.client import TOKENS, Endpoint, Probe
from serving.engines import check_arguments
from serving.gateway import (
    OPERATOR,
    Key,
    KeyRing,
    Report,
    create_key,
    list_keys,
    remove_service,
    revoke_key,
    rotate_key,
    verify_audit,
)
from serving.local import adapters, audit, logs
from serving.local.authority import DevelopmentAuthority, Issued
from serving.local.certificates import check_certificate
from serving.local.door import Door
from serving.local.machine import engine_version, machine_facts, package_versions
from serving.local.members import Members
from serving.local.policies import FilePolicyStore
from serving.local.runtime import Runtime
from serving.local.store import FileReleaseStore
from serving.local.upgrade import compared
from serving.local.vault import FileVault
from serving.locking import ServiceLock
from serving.models import Models
from serving.runtime.launcher import private_directory
from serving.runtime.network import Network


class LocalTarget:
    """Implements `llmops.targets.Operator` on this machine."""

    def __init__(
        self,
        home: Path,
        *,
        store: ReleaseStore | None = None,
        policies: PolicyStore | None = None,
        network: Network | None = None,
    ) -> None:
        """Records and policies are below the home, unless they are said to be elsewhere; its Ray
        is on this machine alone, unless a network is said in which others may join."""
        self._home = home
        private_directory(home)
        self.store = store or FileReleaseStore(home / "releases")
        self.policies = policies or FilePolicyStore(home)
        self._models = Models(home / "models")
        self._runtime = Runtime(home, self.store, self._keys_version, network)
        self.vault = FileVault(home, self._runtime.paths.keys, self._runtime.reload_keys)

    @property
    def runtime(self) -> Runtime:
        """This machine's runtime, for whoever looks at it from inside."""
        return self._runtime

    # What can be learned

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Look up the model's facts, the machine's, and the live releases."""
        began = time.monotonic()
        installed = engine_version()
        check_arguments(deployment.engine.args)
        yield Progress("model", f"looking up {deployment.model.source}", 0.0)
        model = self._models.describe(
            deployment.model.source, deployment.model.revision, offline=offline
        )
        yield Progress("model", "looking at this machine", time.monotonic() - began)
        target = deployment.target
        if not isinstance(target, Local):
            raise InputError(f"the target is {target.kind}, not local", path="target.kind")
        endpoint = self._runtime.endpoint()
        named = adapters.look_up(self._home, deployment, self._models, model, endpoint)
        machine = machine_facts(
            target.port,
            disk_at=self._home,
            endpoint_port=endpoint["port"] if endpoint else None,
            endpoint_host=endpoint["host"] if endpoint else "",
            endpoint_tls=TlsFiles(*endpoint["tls"]) if endpoint and endpoint.get("tls") else None,
            notes=_checked_tls(target),
        )
        own = named.pop(OWN, None)
        taken = adapters.taken(deployment.name, self._runtime.members().shares, self.store)
        return Facts(
            model, machine, self._live(), installed, adapter=own, adapters=named, taken=taken
        )

    def versions(self) -> dict[str, str]:
        """Versions of what serves here beside the engine, by package."""
        return package_versions()

    def upgrade_to(self, names: Sequence[str], wanted: Mapping[str, str]) -> Upgrade:
        """What an upgrade of these services to what is installed means; see `wished`."""
        return compared(self, self._runtime.endpoint(), names, wanted)

    def _live(self) -> tuple[LiveRelease, ...]:
        if not self._runtime.up():
            return ()
        found: list[LiveRelease] = []
        counted: set[tuple[str, int]] = set()
        for (service, number), share in self._runtime.members().shares.items():
            release = self.store.read(service)[0].find(number)
            if release is not None and release.state is not State.FAILED:
                plan = release.plan
                engine = (service, release.engine)
                first = engine not in counted
                counted.add(engine)
                found.append(
                    LiveRelease(
                        service=service,
                        number=number,
                        identity=plan.identity,
                        share=share,
                        # What several releases answer by is there once.
                        memory=int(plan.memory.total.value) if first else 0,
                        cores=_cores(plan.layout) if first else 0,
                        gpus=_gpus(plan.layout) if first else 0,
                        plan=plan if plan.engine_identity else None,
                    )
                )
        return tuple(found)

    def preview(self, plan: Plan) -> Flow[Previewed]:  # noqa: ARG002 - nothing to try here
        """Nothing: this machine has no trial run, and the plan says what would change."""
        yield from ()
        return Previewed()

    def endpoint(self, service: str) -> Endpoint:
        """The endpoint as this user's own commands reach it.

        Raises:
            InputError: When the service was never deployed here.
        """
        url, line = self._door(service).reach(self._home)
        return Endpoint(url, self.operator_key(service), service, line)

    def observe(self, service: str) -> tuple[Seen, ...]:
        """The service's releases as the runtime shows them."""
        return self._runtime.seen(service)

    def apart(self, one: Plan, other: Plan) -> str:  # noqa: ARG002 - a target's signature
        """Nothing: every release here is behind one gateway."""
        return ""

    def watched(self, service: str) -> dict[int, Figures]:
        """What each release has done since they share the traffic as they do now."""
        gateway = (self._runtime.state() or {}).get("gateway") or {"services": {}}
        return figures_of([gateway["services"].get(service, {})])

    def url(self, service: str) -> str:
        """Base URL of the endpoint, ending in `/v1`."""
        return self._door(service).url

    def _door(self, service: str) -> Door:
        endpoint = self._runtime.endpoint()
        return Door.of(endpoint) if endpoint else Door.planned(self.history(service)[-1].plan)

    def _metrics_url(self) -> str:
        endpoint = self._runtime.endpoint()
        return f"http://127.0.0.1:{endpoint['metrics_port']}/" if endpoint else ""

    def status(self, service: str) -> ServiceStatus:
        """What `llmops status` shows.

        Raises:
            InputError: When the service was never deployed here.
        """
        releases = self.history(service)
        state = self._runtime.state() or {"applications": {}, "gateway": None}
        gateway = (state["gateway"] or {"services": {}})["services"].get(service, {})
        seen = {s.number: s for s in self._runtime.seen(service)}
        shadows = shadows_of([gateway])
        shown = [r for r in releases if r.number in seen or r.state in (State.LIVE, State.STAGING)]
        return ServiceStatus(
            name=service,
            target="local",
            url=self.url(service),
            metrics_url=self._metrics_url(),
            model=service,
            healthy=bool(gateway.get("healthy", False)),
            last_generation_at=gateway.get("last_generation_at"),
            requests_per_minute=gateway.get("requests_per_minute", 0.0),
            tokens_per_second=gateway.get("tokens_per_second", 0.0),
            releases=tuple(
                _release_status(
                    release,
                    seen.get(release.number),
                    state,
                    self._runtime.engine(service, release.number),
                    shadows.get(release.number),
                )
                for release in shown
            ),
            notes=self._door(service).notes(state["gateway"] or {}),
            quarantined=gateway.get("quarantined", 0),
        )

    def history(self, service: str) -> tuple[Release, ...]:
        """All releases of the service, oldest first.

        Raises:
            InputError: When the service was never deployed here.
        """
        releases = self.store.read(service)[0].releases
        if not releases:
            known = ", ".join(self.store.services()) or "none"
            raise InputError(
                f"no service '{service}' on this machine",
                hint=f"there are: {known}; --context and --namespace find one on Kubernetes",
            )
        return releases

    def render(self, plan: Plan) -> dict[str, Any]:
        """The whole config that Ray Serve would be handed if `plan` were applied now."""
        return self._runtime.rendered(plan, time.time())

    def logs(self, service: str, number: int | None, *, follow: bool) -> Iterator[str]:
        """Lines of a release's log; the newest release by default.

        Raises:
            InputError: When there is no such service or release.
        """
        releases = self.history(service)
        wanted = number if number is not None else releases[-1].number
        if all(release.number != wanted for release in releases):
            numbers = ", ".join(str(release.number) for release in releases)
            raise InputError(f"{service} has no release {wanted}", hint=f"there are: {numbers}")
        engine = next(release.engine for release in releases if release.number == wanted)
        return logs.lines(self._runtime.paths.engine_log(service, engine), follow=follow)

    def audit_lines(self, service: str, *, follow: bool) -> Iterator[str]:
        """The gateway's lines on known callers of the service, from the oldest that is kept.

        Raises:
            InputError: When the service was never deployed here.
        """
        self.history(service)
        return audit.lines(self._runtime.paths.audit, service, follow=follow)

    def verify_audit(self, service: str) -> dict[str, Report]:
        """What was found of the audit files, which are those of all services of this machine.

        Raises:
            InputError: When the service was never deployed here.
        """
        self.history(service)
        state = self._runtime.state() or {"gateway": None}
        told = (state["gateway"] or {}).get("audit")
        return verify_audit(self._runtime.paths.audit, told)

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        """The service's API keys, revoked ones too; not the operator's."""
        infos = list_keys(self._runtime.paths.keys, service)
        return tuple(_info(key) for key in infos if key.name != OPERATOR)

    def operator_key(self, service: str) -> str:
        """The key that this user's own commands ask with; it is kept in a 0600 file.

        Raises:
            InputError: When the service was never deployed here.
        """
        self.history(service)
        try:
            return self._operator_file(service).read_text()
        except FileNotFoundError as error:
            raise InputError(f"{service} is not deployed", hint="llmops deploy") from error

    # What changes

    def lock(self, service: str, purpose: str) -> AbstractContextManager[None]:
        """Be the only writer of `service`."""
        return ServiceLock(self._home / "locks").hold(service, purpose)

    def stage(self, release: Release) -> Flow[None]:
        """Fetch the model, start the runtime if needed, start the release, wait until ready."""
        plan = release.plan
        began = time.monotonic()
        yield from self._models.ensure(plan.model.source, plan.model.revision)
        adapters.check(self._home, plan, self._models)
        self._ensure_operator_key(release.service)
        self._runtime.forget_failure(release)
        control, members = yield from self._runtime.change(
            lambda m: m.with_member(release.service, release.number), plan
        )
        left = plan.start_deadline_seconds - (time.monotonic() - began)
        yield from self._runtime.await_ready(control, release, max(left, 1.0))
        yield from self._runtime.await_gateway(control, members.generation, "stage")

    def verify(self, release: Release) -> Flow[None]:
        """Ask the release itself, through the endpoint, for a fresh generation; and under each of
        its model names for one more."""
        yield Progress("verify", "asking for a real generation through the endpoint", 0.0)
        directory = self._models.path(release.plan.model.source, release.plan.model.revision)
        url, line = self._door(release.service).reach(self._home)
        probe = partial(
            Probe,
            url=url,
            line=line,
            key=self.operator_key(release.service),
            service=release.service,
            release=release.number,
            model=directory,
            tokens=min(TOKENS, release.plan.limits.max_tokens),
        )
        try:
            for name in (OWN, *release.plan.model.adapters):
                probe(named=name).ask()
        except TargetError as error:
            if (failed := self._runtime.failed(release)) is None:
                raise
            raise failed from error

    def shift(
        self, release: Release, share: int = 100, beside: Release | None = None
    ) -> Flow[None]:
        """Give the release all new requests, or `share` percent and the rest to another."""

        def edit(members: Members) -> Members:
            if beside is None:
                return members.with_all_traffic(release.service, release.number)
            return members.with_some_traffic(release.service, release.number, share, beside.number)

        control, members = yield from self._runtime.change(edit, release.plan)
        yield from self._runtime.await_gateway(control, members.generation, "shift")

    def drain(self, release: Release, deadline: float) -> Flow[None]:
        """Wait until nothing is in flight there, at most until `deadline`."""
        if self._runtime.up():
            control, _ = yield from self._runtime.change(
                lambda m: m.without_traffic(release.service, release.number), release.plan
            )
            yield from self._runtime.await_idle(control, release, max(0.0, deadline - time.time()))

    def remove(self, service: str, number: int) -> Flow[None]:
        """Take the release off the runtime."""
        yield from self._runtime.remove(service, number)

    def mend(self, service: str) -> Flow[None]:  # noqa: ARG002 - a target's signature
        """Nothing: what stands around a service here is the runtime, which is reconciled."""
        yield from ()

    def halt(self) -> Flow[None]:
        """End the runtime with all its processes; what belongs on it stays written down."""
        yield from self._runtime.halt()

    def forget_logs(self, service: str, keep: frozenset[int]) -> None:
        """Remove the logs of every release of the service but these."""
        logs.forget(self._home / "logs" / service, {f"r{number}" for number in keep})

    def retire(self, service: str, *, keep_logs: bool) -> Flow[None]:
        """Remove the service's keys and logs, and the runtime when nobody else uses it."""
        remove_service(self._runtime.paths.keys, service)
        self._operator_file(service).unlink(missing_ok=True)
        if not keep_logs:
            shutil.rmtree(self._home / "logs" / service, ignore_errors=True)
        yield from self._runtime.forget(service)

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; the gateway knows it when this returns."""
        self.history(service)
        _check_name(name)
        made, text = create_key(
            self._runtime.paths.keys, service, name, expires_at=expires_at, models=models
        )
        self._runtime.reload_keys()
        return _info(made), text

    def rotate_key(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name; the gateway knows it when this returns."""
        self.history(service)
        _check_name(name)
        made, text = rotate_key(
            self._runtime.paths.keys, service, name, overlap=overlap, expires_at=expires_at
        )
        self._runtime.reload_keys()
        return _info(made), text

    def revoke_key(self, service: str, name: str) -> KeyInfo:
        """Revoke a key by name or id; the gateway refuses it when this returns."""
        self.history(service)
        revoked = revoke_key(self._runtime.paths.keys, service, name)
        self._runtime.reload_keys()
        return _info(revoked)

    def certificate(self, names: tuple[str, ...], *, renew: bool) -> Issued:
        """A certificate to develop with, for this machine and `names`; see `authority`.

        Raises:
            InputError: When a name cannot be one of a host.
        """
        return DevelopmentAuthority(self._home, time.time()).issue(names, renew=renew)

    def _ensure_operator_key(self, service: str) -> None:
        file = self._operator_file(service)
        if file.exists():
            return
        private_directory(file.parent)
        with contextlib.suppress(InputError):  # the usual case: none whose text was lost
            revoke_key(self._runtime.paths.keys, service, OPERATOR)
        _, text = create_key(self._runtime.paths.keys, service, OPERATOR)
        file.touch(mode=0o600)
        file.write_text(text)

    def _operator_file(self, service: str) -> Path:
        return self._home / "operator-keys" / service

    def _keys_version(self) -> str:
        return KeyRing.version_of(self._runtime.paths.keys)


def _checked_tls(target: Local) -> tuple[str, ...]:
    """What is to be known of the certificate that the spec names.

    Raises:
        InputError: When the endpoint could not use it.
    """
    if target.tls is None:
        return ()
    return check_certificate(Path(target.tls.cert), Path(target.tls.key), time.time())


def _cores(layout: Layout) -> int:
    return int(layout.threads.value) * layout.tensor * layout.pipeline


def _gpus(layout: Layout) -> int:
    shards = layout.tensor * layout.pipeline * layout.replicas_high
    return shards if layout.device == "gpu" else 0


def _check_name(name: str) -> None:
    if name == OPERATOR:
        raise InputError(f"'{OPERATOR}' is the name of this machine's own key")


def _info(key: Key) -> KeyInfo:
    return KeyInfo(
        id=key.id,
        name=key.name,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        expires_at=key.ends_at,
        models=key.models,
    )


def _release_status(
    release: Release,
    seen: Seen | None,
    state: dict[str, Any],
    name: str,
    shadowed: Summary | None,
) -> ReleaseStatus:
    """The status of a release that the application of this name answers for."""
    application = state["applications"].get(name, {"replicas": []})
    replicas = application["replicas"]
    decision = application.get("scaling") or {}
    running = [replica for replica in replicas if replica["state"] == "RUNNING"]
    return ReleaseStatus(
        number=release.number,
        state=release.state.value,
        phase=seen.phase.value if seen else "absent",
        share=seen.share if seen else 0,
        replicas=len(running),
        in_flight=seen.in_flight if seen else 0,
        memory_bytes=sum(replica["memory"] for replica in replicas),
        verified_at=release.verified_at,
        reason=release.reason,
        wanted=decision.get("replicas"),
        scaling=decision.get("reason", ""),
        startup=decision.get("startup"),
        shadowed=shadowed,
    )
