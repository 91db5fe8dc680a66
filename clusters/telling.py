"""What a cluster shows of a service, as the ports tell it: releases, status, logs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from clusters import names
from clusters.gateways import Gateways
from clusters.live import Live, LiveRuntime
from clusters.model import Manifest
from clusters.ports import Reader, Writer
from clusters.steps import POLL, Steps
from llmops.errors import InputError, LlmopsError
from llmops.events import Flow
from llmops.releases import Phase, Release, Seen, State, shadows_of
from llmops.targets import ReleaseStatus, ServiceStatus
from llmops.waiting import wait
from serving.serve_config import application_name

Ask = Callable[[str], Gateways]
"""What the gateways of a runtime tell, by its id."""

TOUCHED = "llmops/keys-version"
"""Annotation of gateway pods: a change of it has the kubelet look at their Secrets at once."""


def seen(live: Live, ask: Ask) -> tuple[Seen, ...]:
    """The releases of every runtime; only those of the one that clients reach have a share."""
    found = []
    for runtime in live.runtimes:
        if runtime.deleting or not runtime.releases:
            continue
        gateways = ask(runtime.id)
        for release in runtime.releases:
            share = gateways.share(live.service, release.number)
            flying = gateways.in_flight(live.service, release.number)
            ready = release.phase is Phase.READY
            known = not ready or gateways.know(live.service, release.number)
            found.append(
                Seen(
                    number=release.number,
                    phase=release.phase if known else Phase.STARTING,
                    share=share if runtime.id == live.active else 0,
                    # A gateway that does not answer may be at an answer: then it is drained first.
                    in_flight=flying or len(gateways.silent),
                    reason=release.message[:500],
                    replicas=gateways.running(live.service, release.number),
                )
            )
    return tuple(sorted(found, key=lambda one: one.number))


def status(
    service: str, url: str, releases: tuple[Release, ...], live: Live, ask: Ask
) -> ServiceStatus:
    """What `llmops status` shows."""
    asked = {runtime.id: ask(runtime.id) for runtime in live.runtimes}
    figures = asked[live.active].services(service) if live.active else ()
    now = {one.number: one for one in seen(live, asked.__getitem__)}
    shadows = shadows_of(figures)
    shown = [r for r in releases if r.number in now or r.state in (State.LIVE, State.STAGING)]
    return ServiceStatus(
        name=service,
        target="kubernetes",
        url=url,
        metrics_url="",
        model=service,
        healthy=any(figure.get("healthy") for figure in figures),
        last_generation_at=max(
            (f["last_generation_at"] for f in figures if f.get("last_generation_at")), default=None
        ),
        requests_per_minute=sum(float(f.get("requests_per_minute", 0.0)) for f in figures),
        tokens_per_second=sum(float(f.get("tokens_per_second", 0.0)) for f in figures),
        releases=tuple(
            replace(
                _release(release, now.get(release.number), live.holding(release.number), asked),
                shadowed=shadows.get(release.number),
            )
            for release in shown
        ),
        # Each gateway has heard of the others'.
        quarantined=max((int(figure.get("quarantined", 0)) for figure in figures), default=0),
    )


def _release(
    release: Release, now: Seen | None, holder: LiveRuntime | None, asked: dict[str, Gateways]
) -> ReleaseStatus:
    application = application_name(release.service, release.number)
    where = asked[holder.id].replica_ips(application) if holder else None
    replicas = len(where or ())
    told = asked[holder.id].decision(release.service, release.number) if holder else {}
    pod = release.plan.pod
    return ReleaseStatus(
        number=release.number,
        state=release.state.value,
        phase=(now.phase if now else Phase.ABSENT).value,
        share=now.share if now else 0,
        replicas=replicas,
        in_flight=now.in_flight if now else 0,
        memory_bytes=replicas * int(pod.memory.value) if pod else 0,
        verified_at=release.verified_at,
        reason=release.reason or (now.reason if now and now.phase is not Phase.READY else ""),
        wanted=told.get("replicas"),
        scaling=told.get("reason", ""),
        startup=told.get("startup"),
    )


def newest(live: Live, releases: tuple[Release, ...]) -> int:
    """The newest release that is in a runtime; the newest of all when none is."""
    here = (r.number for r in reversed(releases) if live.holding(r.number) is not None)
    return next(here, releases[-1].number)


def await_keys(
    client: Writer, namespace: str, steps: Steps, version: str, seconds: float
) -> Flow[None]:
    """Wait until every gateway that may get clients uses this version of the keys."""
    runtimes = [runtime.id for runtime in steps.live().runtimes if not runtime.deleting]
    for runtime in runtimes:
        for pod in steps.pods(runtime, names.GATEWAY):
            _touch(client, namespace, pod, version)

        def look(runtime: str = runtime) -> str | None:
            late = steps.gateways(runtime).without_keys(version)
            return f"{len(late)} gateways read the keys again" if late else None

        yield from wait("keys", look, seconds, poll=POLL)


def _touch(client: Writer, namespace: str, pod: Manifest, version: str) -> None:
    metadata = pod["metadata"]
    if metadata.get("annotations", {}).get(TOUCHED) == version or "deletionTimestamp" in metadata:
        return
    patch: dict[str, Any] = {"metadata": {"annotations": {TOUCHED: version}}}
    try:
        client.patch_merge("Pod", metadata["name"], namespace, patch)
    except LlmopsError:  # it only hastens what the kubelet does by itself
        return


def logs(
    client: Reader, namespace: str, steps: Steps, service: str, number: int, *, follow: bool
) -> Iterator[str]:
    """Lines of the pods that a release's replicas run on, or of all replica pods while none runs.

    Raises:
        InputError: When there is no such pod.
    """
    holder = steps.live().holding(number)
    pods = steps.pods(holder.id, names.REPLICA) if holder else []
    if holder is not None:
        where = steps.gateways(holder.id).replica_ips(application_name(service, number))
        pods = [pod for pod in pods if pod["status"].get("podIP") in (where or ())] or pods
    if not pods:
        raise InputError(
            f"release {number} of {service} has no pod, and its log went with it",
            hint=f"llmops history {service} tells why it ended",
        )
    named = [pod["metadata"]["name"] for pod in pods]
    if len(named) == 1:
        return client.logs(named[0], namespace, names.REPLICA, follow=follow)
    return _together(client, namespace, named, follow=follow)


def _together(client: Reader, namespace: str, pods: list[str], *, follow: bool) -> Iterator[str]:
    """Lines of several pods as they come, each with its pod's name."""
    lines: queue.Queue[str | None] = queue.Queue(maxsize=1000)

    def read(pod: str) -> None:
        try:
            for line in client.logs(pod, namespace, names.REPLICA, follow=follow):
                lines.put(f"[{pod}] {line}")
        except LlmopsError as error:
            lines.put(f"[{pod}] {error.message}")
        finally:
            lines.put(None)

    for pod in pods:
        threading.Thread(target=read, args=(pod,), daemon=True).start()
    ended = 0
    while ended < len(pods):
        line = lines.get()
        if line is None:
            ended += 1
        else:
            yield line
