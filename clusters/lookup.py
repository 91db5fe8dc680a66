"""What a plan for a cluster is made of: the model's facts, the nodes', and what is live.

Refuses a cluster without KubeRay, a namespace that is not there, and runtimes whose record is lost.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from clusters import names
from clusters.engines import engine_of
from clusters.facts import cluster_facts
from clusters.fitting import check_image
from clusters.live import Live
from clusters.nodes import all_pods
from clusters.place import Place
from clusters.trouble import Forbidden
from llmops.errors import InputError, RefusedError
from llmops.events import Flow, Progress
from llmops.planning import Facts, LiveRelease, MachineFacts
from llmops.releases import State
from llmops.spec import Deployment, KubernetesTarget


class Lookup(Place):
    """A place that can be planned for."""

    def __init__(self, home: Path, context: str | None, namespace: str | None) -> None:
        super().__init__(home, context, namespace)
        self._checked: set[str | None] = set()

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


_NO_MACHINE = MachineFacts(0, 0, 0, 0, (), "", None)
"""A cluster is planned from its nodes."""


def _digest(live: Live) -> str:
    """Digest of what the service's runtimes ask for, without what changes by itself."""
    told = [[r.id, r.deleting, r.document["spec"]] for r in live.runtimes]
    text = json.dumps([live.active, told], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


__all__ = ["Lookup"]
