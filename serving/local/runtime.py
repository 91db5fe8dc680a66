"""The steps on this machine's runtime: what Serve is told, and what is waited for.

Every change goes the same way: change the members' file, render the whole config, apply it, wait
until the runtime shows it. So a step that was cut off anywhere is completed by doing it again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from llmops.errors import TargetError
from llmops.events import Flow
from llmops.planning import Plan
from llmops.releases import Phase, Release, ReleaseStore, Seen, State, records
from llmops.waiting import wait
from serving.local import members as members_file
from serving.local.members import Members
from serving.runtime import launcher
from serving.runtime.control import Control
from serving.runtime.network import Network
from serving.runtime.paths import RuntimePaths
from serving.runtime.phases import startup_phase
from serving.serve_config import (
    GATEWAY,
    RuntimeSettings,
    application_name,
    release_of,
    render,
    routes,
)

GATEWAY_DEADLINE = 60.0
REMOVE_DEADLINE = 60.0
"""Seconds beyond a release's own drain that Serve may take to end its replicas."""


class Runtime:
    """This machine's runtime, through its host. Holds no state but where its files are."""

    def __init__(
        self,
        home: Path,
        store: ReleaseStore,
        keys_version: Callable[[], str],
        network: Network | None = None,
    ) -> None:
        self._network = network
        self.paths = RuntimePaths(home)
        self._store = store
        self._keys_version = keys_version
        self._members = home / "members.json"
        self._lock = FileLock(home / "runtime.lock", mode=0o600, timeout=180)

    def members(self) -> Members:
        """What should run."""
        return members_file.read(self._members)

    def up(self) -> bool:
        """Whether the host runs."""
        return launcher.host_process(self.paths) is not None

    def state(self) -> dict[str, Any] | None:
        """What the host shows; None when there is no host."""
        if not self.up():
            return None
        try:
            return Control(self.paths.control).state()
        except TargetError:
            return None

    def endpoint(self) -> dict[str, Any] | None:
        """Host, port and metrics port of the running runtime; None when there is none."""
        if not self.up():
            return None
        record: dict[str, Any] = json.loads(self.paths.host_record.read_text())
        return record

    def change(
        self, edit: Callable[[Members], Members], plan: Plan
    ) -> Flow[tuple[Control, Members]]:
        """Edit the members and make them what Serve runs; starts the host if it is not up, with the
        endpoint that the plan says."""
        with self._lock:
            members = edit(self.members())
            members_file.write(self._members, members)
            tls = (plan.tls.cert, plan.tls.key) if plan.tls else None
            control = yield from launcher.ensure_host(
                self.paths, plan.host, plan.port, tls, self._network
            )
            self._apply(control, members)
        return control, members

    def reload_keys(self) -> None:
        """Tell the gateway that the key set has a new version. Nothing to do without a runtime."""
        with self._lock:
            if not self.up():
                return
            members = Members(self.members().shares, self.members().generation + 1)
            members_file.write(self._members, members)
            control = Control(self.paths.control)
            self._apply(control, members)
            for _ in self.await_gateway(control, members.generation, "keys"):
                pass

    def _apply(self, control: Control, members: Members) -> None:
        endpoint = self.endpoint()
        if endpoint is None:
            raise TargetError("the runtime ended while it was being changed", hint="deploy again")
        releases = [self._release(*key) for key in members.shares]
        control.apply(self._render(releases, members, endpoint))

    def _hosts(self, releases: list[Release]) -> list[Release]:
        """The releases whose engines answer for others."""
        return [self._release(r.service, r.engine) for r in releases if r.hosted_by is not None]

    def engine(self, service: str, number: int) -> str:
        """Name of the application that answers for a release."""
        release = self._store.read(service)[0].find(number)
        return application_name(service, release.engine if release else number)

    def _render(
        self, releases: list[Release], members: Members, endpoint: Mapping[str, Any]
    ) -> dict[str, Any]:
        table = routes(releases, members.shares, self._keys_version())
        settings = RuntimeSettings(
            home=str(self.paths.home),
            host=endpoint["host"],
            port=endpoint["port"],
            metrics_port=endpoint["metrics_port"],
            tls=_files(endpoint.get("tls")),
            machines=bool(endpoint.get("ray")),
        )
        hosts = self._hosts(releases)
        return render(releases, table, settings, members.generation, hosts)

    def wanted(self) -> dict[str, Any]:
        """What Serve should run, by the records: what it was told last, unless somebody else told
        it something.

        Raises:
            TargetError: When there is no runtime.
        """
        endpoint = self.endpoint()
        if endpoint is None:
            raise TargetError("the runtime is not up", hint="llmops deploy starts it")
        members = self.members()
        return self._render([self._release(*key) for key in members.shares], members, endpoint)

    def rendered(self, plan: Plan, now: float) -> dict[str, Any]:
        """What Serve would be told if a release of `plan` were staged now; changes nothing.

        Without a runtime the metrics port is shown as 0: it is chosen when the runtime starts.
        """
        history = self._store.read(plan.service)[0]
        live = history.live
        unchanged = live is not None and live.plan.identity == plan.identity
        release = live if live and unchanged else records.begin(history, plan, now)[1]
        members = self.members().with_member(plan.service, release.number)
        others = [self._release(*key) for key in self.members().shares]
        kept = [r for r in others if (r.service, r.number) != (release.service, release.number)]
        tls = (plan.tls.cert, plan.tls.key) if plan.tls else None
        idle = {"host": plan.host, "port": plan.port, "metrics_port": 0, "tls": tls}
        return self._render([*kept, release], members, self.endpoint() or idle)

    def _release(self, service: str, number: int) -> Release:
        release = self._store.read(service)[0].find(number)
        if release is None:
            raise TargetError(f"release {number} of {service} runs but has no record")
        return release

    def forget_failure(self, release: Release) -> None:
        """Forget why an earlier try to start the release failed."""
        self.paths.failure(release.service, release.number).unlink(missing_ok=True)

    def await_ready(self, control: Control, release: Release, deadline: float) -> Flow[None]:
        """Wait until the release's replicas are up.

        A replica that could not start says so in a file, and that is enough: Serve would try the
        same twice more before it gave up.

        Raises:
            TargetError: With the engine's real cause when it cannot, or the phase it was stuck in.
        """
        name = application_name(release.service, release.engine)
        log = self.paths.engine_log(release.service, release.engine)

        def look() -> str | None:
            app = control.state()["applications"].get(name)
            status = app["status"] if app else "NOT_STARTED"
            up = app is not None and status == "RUNNING"
            few = missing(app, release) if app and up else None
            if up and not few:
                return None
            failed = self.paths.failure(release.service, release.number).exists()
            if failed or status == "DEPLOY_FAILED":
                raise self._start_failure(release, app["message"] if app else "")
            return few or startup_phase(log)

        yield from wait("stage", look, deadline)

    def failed(self, release: Release) -> TargetError | None:
        """Why a release that is up cannot answer, where a replica has left word of it."""
        there = self.paths.failure(release.service, release.number).exists()
        return self._start_failure(release, "") if there else None

    def _start_failure(self, release: Release, message: str) -> TargetError:
        report = {"cause": _last_sentence(message), "hint": ""}
        for number in (release.engine, release.number):
            with contextlib.suppress(OSError, ValueError):
                report = json.loads(self.paths.failure(release.service, number).read_text())
        log = self.paths.engine_log(release.service, release.engine)
        hint = report["hint"] or f"llmops logs {release.service} --release {release.number}"
        return TargetError(
            f"release {release.number} did not start: {report['cause']} (log: {log})", hint=hint
        )

    def await_gateway(self, control: Control, generation: int, phase: str) -> Flow[None]:
        """Wait until every gateway replica uses this generation of the routing table."""

        def look() -> str | None:
            state = control.state()
            gateway = state["gateway"]
            if gateway is not None and gateway["generation"] >= generation:
                return None
            app = state["applications"].get(GATEWAY, {})
            if app.get("status") == "DEPLOY_FAILED":
                message = _last_sentence(app["message"])
                raise TargetError(f"the endpoint did not start: {message}", hint="llmops doctor")
            return "the gateway takes over the routing table"

        yield from wait(phase, look, GATEWAY_DEADLINE)

    def await_idle(self, control: Control, release: Release, seconds: float) -> Flow[None]:
        """Wait until the release has nothing in flight, or the time is over."""

        def look() -> str | None:
            flying = in_flight(control.state(), release.service).get(release.number, 0)
            return f"{flying} requests in flight on release {release.number}" if flying else None

        yield from wait("drain", look, seconds, expire_quietly=True)

    def remove(self, service: str, number: int) -> Flow[None]:
        """Take a release out of the members and off Serve, if there is a runtime."""
        with self._lock:
            members = self.members().without(service, number)
            members_file.write(self._members, members)
            if not self.up():
                return
            control = Control(self.paths.control)
            self._apply(control, members)
        yield from self.await_gone(control, service, number)

    def await_gone(self, control: Control, service: str, number: int) -> Flow[None]:
        """Wait until Serve has ended the replicas that answered for the release; those that answer
        for others stay. One that has found no machine cannot be asked to end, so Serve gives it the
        whole drain before it ends it."""
        name = self.engine(service, number)

        def look() -> str | None:
            app = control.state()["applications"].get(name)
            if app is None or self._needed(service, name):
                return None
            homeless = sum(replica["pid"] is None for replica in app["replicas"])
            more = f", {homeless} of them without a machine to start on" if homeless else ""
            return f"release {number} ends its replicas{more}"

        release = self._store.read(service)[0].find(number)
        drain = release.plan.drain_seconds if release else 0.0
        yield from wait("remove", look, drain + REMOVE_DEADLINE)

    def _shown(self, service: str, state: dict[str, Any]) -> dict[int, str]:
        """The service's releases that are there, by application: those of their own, whoever
        started them, and those that another's engine answers for. An engine that is left for
        others only is none."""
        history, members = self._store.read(service)[0], self.members().of(service)
        known = {number: history.find(number) for number in members}
        hosted = {n: r.engine for n, r in known.items() if r and r.hosted_by is not None}
        own = {
            number: name
            for name in state["applications"]
            if (number := release_of(name, service)) is not None
            and (number in members or number not in hosted.values())
        }
        apps = {number: application_name(service, host) for number, host in hosted.items()}
        return own | {n: name for n, name in apps.items() if name in state["applications"]}

    def _needed(self, service: str, name: str) -> bool:
        """Whether the application of this name answers for any release that should run."""
        return any(self.engine(service, number) == name for number in self.members().of(service))

    def forget(self, service: str) -> Flow[None]:
        """Take a service off, whose releases were removed, and end the host when nothing is left to
        run.

        While a host starts, or where it does not answer, nobody sees a release that a killed
        command has put on it: it would come up later, and never go.
        """
        with self._lock:
            members = self.members()
            left = members.without_service(service)
            if left.shares:
                if left != members:
                    members_file.write(self._members, left)
                return
            yield from launcher.stop_host(self.paths)
            self._members.unlink(missing_ok=True)

    def halt(self) -> Flow[None]:
        """End the host; the members stay, so that each is put back when the next one starts."""
        with self._lock:
            yield from launcher.stop_host(self.paths)

    def seen(self, service: str) -> tuple[Seen, ...]:
        """The service's releases as the runtime shows them now."""
        state = self.state()
        if state is None:
            return ()
        gateway = state["gateway"]
        services = gateway["services"] if gateway else {}
        table = services.get(service, {"releases": {}})["releases"]
        flying = in_flight(state, service)
        found = []
        for number, name in self._shown(service, state).items():
            app = state["applications"][name]
            failed = self.paths.failure(service, number).exists()
            found.append(
                Seen(
                    number=number,
                    phase=phase_of(
                        app["status"],
                        failed,
                        hosted=release_of(name, service) != number,
                        known=gateway is None or str(number) in table,
                    ),
                    share=table.get(str(number), 0),
                    in_flight=flying.get(number, 0),
                    reason=app["message"][:500],
                    replicas=running(app),
                )
            )
        return tuple(sorted(found, key=lambda seen: seen.number))


def _files(tls: Sequence[str] | None) -> tuple[str, str] | None:
    """Certificate and key as a host's record has them; one of before there was TLS has none."""
    return (tls[0], tls[1]) if tls else None


def in_flight(state: dict[str, Any], service: str) -> dict[int, int]:
    """Requests in flight by release, as the gateway counts them."""
    gateway = state["gateway"] or {"services": {}}
    counts = gateway["services"].get(service, {}).get("in_flight", {})
    return {int(number): count for number, count in counts.items()}


def running(app: Mapping[str, Any]) -> int:
    """Replicas of an application that answer."""
    return sum(replica["state"] == "RUNNING" for replica in app["replicas"])


def missing(app: Mapping[str, Any], release: Release) -> str | None:
    """What is waited for of a release on its way that Serve calls RUNNING; None for nothing.

    Serve says so of one that grows, too, however few of its replicas answer.
    """
    wanted = (app.get("scaling") or {}).get("replicas", 0)
    have = running(app)
    if release.state is not State.STAGING or have >= wanted:
        return None
    return f"{have} of {wanted} replicas answer"


def phase_of(status: str, failure: bool, *, hosted: bool = False, known: bool = True) -> Phase:
    """What Serve's status of a release's application means here.

    One that is UNHEALTHY has lost a replica, and Serve starts another: it has failed only once that
    one has said why it cannot start.

    Args:
        status: Serve's word.
        failure: Whether a replica has left word why it could not start.
        hosted: Whether it answers by another's engine, which runs on when its adapter cannot be
            loaded.
        known: Whether the gateway has it in its table: before that it can be asked for nothing, as
            when a command was killed after it had told Serve.
    """
    if failure and hosted:
        return Phase.FAILED
    if status == "RUNNING":
        return Phase.READY if known else Phase.STARTING
    if status == "DEPLOY_FAILED" or (status == "UNHEALTHY" and failure):
        return Phase.FAILED
    return Phase.ABSENT if status == "DELETING" else Phase.STARTING


def _last_sentence(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "Serve gave no reason"
