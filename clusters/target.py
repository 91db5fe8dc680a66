"""The target `kubernetes`: a service on a cluster, by KubeRay.

Composes the models' store, the releases' records in the cluster and the steps into the ports that
the flow drives. It holds no state of its own: everything is in objects that kubectl shows, so any
machine with access goes on where another one stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from clusters import names, proof, telling
from clusters.apply import Change, preview, refuse_conflicts
from clusters.desired import Desired, as_it_is, with_active, with_all_traffic, with_release
from clusters.drift import Drift, drift
from clusters.engines import engine_of
from clusters.facts import cluster_facts
from clusters.fitting import check_image
from clusters.held import Held
from clusters.kubeconfig import Access, find
from clusters.lease import LeaseLock
from clusters.live import Live
from clusters.model import Manifest
from clusters.nodes import all_pods
from clusters.objects import KINDS
from clusters.policies import ConfigMapPolicyStore
from clusters.ports import Writer
from clusters.retiring import retire
from clusters.secrets import SecretKeys
from clusters.shape import digest, shape_of
from clusters.steps import Steps
from clusters.store import ConfigMapReleaseStore
from clusters.trouble import Forbidden
from clusters.upgrade import compared
from clusters.vault import SecretVault
from clusters.why import why
from llmops.errors import InputError, LlmopsError, RefusedError
from llmops.events import Flow, ObjectChange, Progress
from llmops.planning import Facts, LiveRelease, MachineFacts, Plan
from llmops.releases import Figures, Release, Seen, State, figures_of, joined, records
from llmops.spec import Deployment, KubernetesTarget
from llmops.targets import KeyInfo, ServiceStatus
from llmops.upgrading import Upgrade
from serving.client import Endpoint
from serving.gateway import Report
from serving.models import Models

KEYS_SECONDS = 120.0
"""For a new key to reach the gateways: the kubelet renews a mounted Secret about once a minute."""


class ClusterTarget:
    """Implements `llmops.targets.Operator` in one namespace of one cluster.

    Making one reads the kubeconfig and nothing else; the API server is asked when it is needed.
    """

    def __init__(self, home: Path, context: str | None, namespace: str | None) -> None:
        self._home = home
        self.access: Access = find(context)
        self.namespace = namespace or self.access.namespace or "default"
        self._held: Held | None = None
        self._checked: set[str | None] = set()
        self.take_ownership = False
        """Whether fields that others have set are set all the same; the user must say so."""

    @cached_property
    def client(self) -> Writer:
        """The API server's client: importing the official one takes a second or two."""
        from clusters.client import Client

        return Client.of(self.access)

    @cached_property
    def store(self) -> ConfigMapReleaseStore:
        """The services' histories, in the cluster."""
        return ConfigMapReleaseStore(self.client, self.namespace)

    @cached_property
    def policies(self) -> ConfigMapPolicyStore:
        """The policies that were applied to the namespace, in the cluster."""
        return ConfigMapPolicyStore(self.client, self.namespace)

    @cached_property
    def vault(self) -> SecretVault:
        """What opens the services' doors, in the cluster."""
        where = {"context": self.access.context, "namespace": self.namespace}
        return SecretVault(self._keys, where)

    @cached_property
    def _keys(self) -> SecretKeys:
        return SecretKeys(self.client, self.namespace)

    @cached_property
    def _models(self) -> Models:
        return Models(self._home / "models")

    def steps(self, service: str) -> Steps:
        """The steps of one service."""
        return Steps(
            self.client, self.namespace, service, self.store,
            lambda runtime: why(self.client, self.namespace, service, runtime), self._guard,
            take_ownership=self.take_ownership,
        )  # fmt: skip

    def _guard(self) -> None:
        """Called before each write: a lock that was lost stops what it was for."""
        if self._held is not None:
            self._held.check()

    # What can be learned

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Look up the model's facts, the cluster's, and the live releases."""
        target = deployment.target
        if not isinstance(target, KubernetesTarget):
            raise InputError(f"the target is {target.kind}, not kubernetes", path="target.kind")
        began = time.monotonic()
        yield Progress("model", f"looking up {deployment.model.source}", 0.0)
        model = self._models.describe(
            deployment.model.source, deployment.model.revision, offline=offline
        )
        yield Progress("cluster", f"looking at {self.access.context}", time.monotonic() - began)
        self._require_kuberay()
        live = self.steps(deployment.name).live()
        self._require_record(live)
        pods = all_pods(self.client, self.namespace)
        if not pods.whole:
            yield Progress("cluster", "other namespaces' pods may not be seen: what they take is"
                           " not counted")  # fmt: skip
        cluster = cluster_facts(
            self.access.context, self.client.version(), target,
            self.client.list("Node"), pods.found, _digest(live),
        )  # fmt: skip
        engine = engine_of(deployment, cluster)
        if deployment.image not in self._checked:
            yield from check_image(deployment.image or "", engine)
            self._checked.add(deployment.image)
        return Facts(model, _NO_MACHINE, self._live(live), engine, cluster)

    def versions(self) -> dict[str, str]:
        """Nothing: what is in an image beside the engine is not known before its pods say so."""
        return {}

    def upgrade_to(self, service: str, image: str, wanted: Mapping[str, str]) -> Upgrade:
        """What an upgrade of the service to an image means; see `clusters.upgrade`."""
        self.history(service)
        steps = self.steps(service)
        active = steps.live().active
        states = steps.gateways(active).answering if active else ()
        telling = [state["versions"] for state in states if state.get("versions")]
        return compared(self, telling, service, image, wanted)

    def _require_kuberay(self) -> None:
        if not self.client.serves("RayService"):
            raise InputError(
                f"{self.access.context} has no KubeRay: the API server does not know ray.io/v1"
                " RayServices",
                hint="install KubeRay's operator 1.7 or newer (its Helm chart is kuberay-operator)",
            )
        self._require_namespace()

    def _require_namespace(self) -> None:
        try:
            found = self.client.get("Namespace", self.namespace)
        except Forbidden:  # it is there, or what is asked for next says that it is not
            return
        if found is None:
            raise InputError(
                f"there is no namespace '{self.namespace}' in {self.access.context}",
                hint=f"kubectl create namespace {self.namespace}",
                path="target.namespace",
            )

    def _require_record(self, live: Live) -> None:
        """Refuse to begin anew beside what runs without a record: its numbers would be given out
        again, and an old release taken for a new one."""
        if live.runtimes and not self.store.read(live.service)[0].releases:
            running = ", ".join(runtime.name for runtime in live.runtimes)
            raise RefusedError(
                f"RayService {running} runs, and ConfigMap {names.history_map(live.service)} with"
                " its history is gone",
                hint=f"put the ConfigMap back, or `llmops destroy {live.service}` and deploy anew",
            )

    def _live(self, live: Live) -> tuple[LiveRelease, ...]:
        history = self.store.read(live.service)[0]
        found = []
        for runtime in live.runtimes:
            for number, share in runtime.shares.items():
                release = history.find(number)
                if release is None or release.state is State.FAILED or release.plan.pod is None:
                    continue
                pod, replicas = release.plan.pod, release.plan.layout.replicas_low
                found.append(
                    LiveRelease(
                        service=live.service,
                        number=number,
                        identity=release.plan.identity,
                        share=share,
                        memory=int(pod.memory.value) * replicas,
                        cores=round(float(pod.cores.value)) * replicas,
                        gpus=int(pod.gpus.value) * replicas,
                    )
                )
        return tuple(found)

    def observe(self, service: str) -> tuple[Seen, ...]:
        """The service's releases as the cluster shows them."""
        steps = self.steps(service)
        return telling.seen(steps.live(), steps.gateways)

    def apart(self, one: Plan, other: Plan) -> str:
        """Why two releases cannot share traffic: each runtime has gateways of its own, and clients
        are led to those of one."""
        if digest(shape_of(one)) == digest(shape_of(other)):
            return ""
        return "its pods are not those of the last good release, so it has gateways of its own"

    def watched(self, service: str) -> dict[int, Figures]:
        """What each release has done since they share the traffic, over all gateways."""
        steps = self.steps(service)
        live = steps.live()
        told = steps.gateways(live.active).services(service) if live.active else ()
        counted = [figures_of(one) for one in told]
        numbers = {number for one in counted for number in one}
        return {
            number: joined(one[number] for one in counted if number in one) for number in numbers
        }

    def url(self, service: str) -> str:
        """Base URL of the endpoint, ending in `/v1`: as clients in the cluster use it, or outside
        where it is exposed."""
        target = self._settings(service)
        if target.expose.hostname:
            return f"https://{target.expose.hostname}/v1"
        return f"http://{service}.{self.namespace}.svc:{names.HTTP_PORT}/v1"

    def endpoint(self, service: str) -> Endpoint:
        """The endpoint as this user's own commands reach it: through the API server.

        Raises:
            InputError: When the service was never deployed here.
        """
        self.history(service)
        return proof.endpoint(self.client, self.namespace, service, self.operator_key(service))

    def _settings(self, service: str) -> KubernetesTarget:
        return shape_of(self.history(service)[-1].plan).target

    def status(self, service: str) -> ServiceStatus:
        """What `llmops status` shows.

        Raises:
            InputError: When the service was never deployed here.
        """
        releases, steps = self.history(service), self.steps(service)
        return telling.status(service, self.url(service), releases, steps.live(), steps.gateways)

    def history(self, service: str) -> tuple[Release, ...]:
        """All releases of the service that are kept, oldest first.

        Raises:
            InputError: When the service was never deployed here.
        """
        releases = self.store.read(service)[0].releases
        if not releases:
            known = ", ".join(self.store.services()) or "none"
            where = f"namespace {self.namespace} of {self.access.context}"
            raise InputError(f"no service '{service}' in {where}", hint=f"there are: {known}")
        return releases

    def preview(self, plan: Plan) -> tuple[ObjectChange, ...]:
        """What applying the plan would change, as the API server itself says.

        Raises:
            RefusedError: When the API server would refuse it, or others own what it would change.
        """
        changes = preview(self.client, self._meant(plan, traffic=False))
        if not self.take_ownership:
            refuse_conflicts(changes, plan.service)
        return tuple(_change(change) for change in changes)

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """Every object of the service once the plan is applied and has all traffic."""
        return self._meant(plan, traffic=True)

    def _meant(self, plan: Plan, *, traffic: bool) -> tuple[Manifest, ...]:
        steps = self.steps(plan.service)
        history = self.store.read(plan.service)[0]
        live = history.live
        unchanged = live is not None and live.plan.identity == plan.identity
        release = live if live and unchanged else records.begin(history, plan, time.time())[1]
        desired: Desired = with_release(as_it_is(steps.live(), history), release)
        runtime = desired.holding(release.number)
        if traffic and runtime is not None:
            desired = with_active(with_all_traffic(desired, release.number), runtime.id)
        return steps.manifests(desired)

    def drift(self, service: str) -> tuple[Drift, ...]:
        """Where the cluster differs from what the releases say, and who made it so."""
        self.history(service)
        steps = self.steps(service)
        desired, live = steps.desired(), self.store.read(service)[0].live
        runtime = desired.holding(live.number) if live else None
        if live and runtime:  # what is moved by hand is an edit too
            desired = with_active(with_all_traffic(desired, live.number), runtime.id)
        wanted = steps.manifests(desired)
        return drift(self.client, wanted, service=service, namespace=self.namespace, kinds=KINDS)

    def logs(self, service: str, number: int | None, *, follow: bool) -> Iterator[str]:
        """Lines of a release's replicas; the newest release by default.

        Raises:
            InputError: When there is no such service or release, or it has no pod.
        """
        releases, steps = self.history(service), self.steps(service)
        wanted = number if number is not None else telling.newest(steps.live(), releases)
        if all(release.number != wanted for release in releases):
            numbers = ", ".join(str(release.number) for release in releases)
            raise InputError(f"{service} has no release {wanted}", hint=f"there are: {numbers}")
        return telling.logs(self.client, self.namespace, steps, service, wanted, follow=follow)

    def audit_lines(self, service: str, *, follow: bool) -> Iterator[str]:  # noqa: ARG002 - a signature
        """Refused: each gateway pod keeps its own audit lines.

        Raises:
            InputError: Always, with how to read them.
        """
        raise self._audit_elsewhere(service)

    def verify_audit(self, service: str) -> dict[str, Report]:
        """Refused, as `audit_lines` is."""
        raise self._audit_elsewhere(service)

    def _audit_elsewhere(self, service: str) -> InputError:
        self.history(service)
        labels = f"{names.SERVICE}={service},{names.ROLE}={names.GATEWAY}"
        return InputError(
            f"the audit lines of {service} are in its gateways' pods, each with its own file",
            hint=f"for each pod of `kubectl -n {self.namespace} get pods -l {labels}`:"
            f" kubectl -n {self.namespace} exec POD -- cat {names.HOME}/logs/audit.jsonl",
        )

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        """The service's API keys, revoked ones too; not the operator's."""
        return self._keys.list(service)

    def operator_key(self, service: str) -> str:
        """The key that llmops' own commands ask with; it is in a Secret."""
        key = self._keys.operator_key(service)
        if key is None:
            raise InputError(f"{service} is not deployed", hint="llmops deploy")
        return key

    # What changes

    def lock(self, service: str, purpose: str) -> AbstractContextManager[None]:
        """Be the only writer of `service`, on whatever machine."""
        return self._hold(service, purpose)

    @contextlib.contextmanager
    def _hold(self, service: str, purpose: str) -> Iterator[None]:
        self._require_namespace()
        lock = LeaseLock(self.client, self.namespace, tell=_tell)
        with lock.hold(service, purpose) as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def stage(self, release: Release) -> Flow[None]:
        """Make the release's pods beside the others', and wait until it can be asked."""
        began = time.monotonic()
        self._guard()
        self._keys.ensure(release.service)
        steps = self.steps(release.service)
        yield from steps.stage(release, release.plan.start_deadline_seconds)
        yield from self._await_keys(release.service)
        proof.versions(steps, release)
        steps.tell(release.number, "Staged", f"release {release.number} runs, without traffic")
        yield Progress("stage", "ready", time.monotonic() - began)

    def verify(self, release: Release) -> Flow[None]:
        """Ask the release itself, through the endpoint, for a fresh generation."""
        yield Progress("verify", "asking for a real generation through the endpoint", 0.0)
        model = yield from self._models.tokenizer(
            release.plan.model.source, release.plan.model.revision
        )
        key = self.operator_key(release.service)
        steps = self.steps(release.service)
        proof.ask(self.client, self.namespace, steps, release, model, key)
        steps.tell(
            release.number, "Verified", f"release {release.number} answered with a real generation"
        )

    def shift(
        self, release: Release, share: int = 100, beside: Release | None = None
    ) -> Flow[None]:
        """Give the release all new requests, or `share` percent and the rest to another."""
        steps, number = self.steps(release.service), release.number
        if beside is None:
            yield from steps.shift(release)
            steps.tell(number, "Shifted", f"release {number} has all new requests")
            return
        yield from steps.share(release, share, beside)
        steps.tell(number, "Sharing", f"release {number} has {share} % of new requests")

    def drain(self, release: Release, deadline: float) -> Flow[None]:
        """Wait until nothing is in flight there, at most until `deadline`."""
        yield from self.steps(release.service).drain(release, max(0.0, deadline - time.time()))

    def remove(self, service: str, number: int) -> Flow[None]:
        """Take a release away with its pods."""
        steps = self.steps(service)
        steps.tell(number, "Removing", f"release {number} goes, with its pods")
        yield from steps.remove(number)

    def forget_logs(self, service: str, keep: frozenset[int]) -> None:
        """Nothing: pods that have ended keep no log."""

    def retire(self, service: str, *, keep_logs: bool) -> Flow[None]:  # noqa: ARG002 - pods keep no log
        """After the last release is removed: everything else of the service but its history."""
        self._guard()
        yield from retire(self.client, self.namespace, self.steps(service), service)

    def mend(self, service: str) -> Flow[None]:
        """Put back what somebody has deleted of the service's objects, and take away what a run
        that was killed has left."""
        yield Progress("mend", "looking for what is missing around the service")
        yield from self.steps(service).mend()

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; returns when every gateway knows it.

        Raises:
            InputError: When the service was never deployed here, or has a key of that name.
        """
        self.history(service)
        return self._shown(
            service, self._keys.create(service, name, expires_at=expires_at, models=models)
        )

    def rotate_key(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name; returns when every gateway knows it."""
        self.history(service)
        return self._shown(
            service, self._keys.rotate(service, name, overlap=overlap, expires_at=expires_at)
        )

    def _shown(self, service: str, made: tuple[KeyInfo, str]) -> tuple[KeyInfo, str]:
        """A new key, once every gateway knows it."""
        try:
            for _ in self._await_keys(service):
                pass
        except BaseException:
            # Nobody is shown its text any more: it must not open anything, nor keep the name.
            with contextlib.suppress(LlmopsError):
                self._keys.revoke(service, made[0].id)
            raise
        return made

    def revoke_key(self, service: str, name: str) -> KeyInfo:
        """Revoke the key of that name or id; returns when every gateway refuses it."""
        self.history(service)
        revoked = self._keys.revoke(service, name)
        for _ in self._await_keys(service):
            pass
        return revoked

    def _await_keys(self, service: str) -> Flow[None]:
        yield from telling.await_keys(
            self.client, self.namespace, self.steps(service), self._keys.version(service),
            KEYS_SECONDS,
        )  # fmt: skip


_NO_MACHINE = MachineFacts(0, 0, 0, 0, (), "", None)
"""A cluster is planned from its nodes."""


def _tell(text: str) -> None:
    """On a wait for an expired lock: it passes before any event can."""
    sys.stderr.write(f"{text}\n")


def _change(change: Change) -> ObjectChange:
    action = "delete" if change.verb == "prune" else change.verb
    fields = tuple((one.path, one.before, one.after) for one in change.fields)
    return ObjectChange(str(change), action, fields)


def _digest(live: Live) -> str:
    """Digest of what the service's runtimes ask for, without what changes by itself."""
    told = [[r.id, r.deleting, r.document["spec"]] for r in live.runtimes]
    text = json.dumps([live.active, told], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


__all__ = ["ClusterTarget"]
