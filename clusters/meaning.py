"""The objects that a plan or the releases mean, held against those that are there. Only reads."""

from __future__ import annotations

import time

from clusters.apply import Change, preview, refuse_conflicts
from clusters.desired import Desired, as_it_is, with_active, with_all_traffic, with_release
from clusters.drift import Drift, drift
from clusters.model import Manifest
from clusters.objects import KINDS
from clusters.place import Place
from llmops.events import Flow, ObjectChange, Previewed, Progress
from llmops.planning import Plan
from llmops.releases import records


class Meaning(Place):
    """A place that can tell what would be made there, and what is not as it should be."""

    def preview(self, plan: Plan) -> Flow[Previewed]:
        """What applying the plan would change, as the API server itself says.

        Raises:
            RefusedError: When the API server would refuse it, or others own what it would change.
        """
        yield Progress("cluster", "asking the API server what would change")
        changes = preview(self.client, self._meant(plan, traffic=False))
        if not self.take_ownership:
            refuse_conflicts(changes, plan.service)
        return Previewed(tuple(_change(change) for change in changes))

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


def _change(change: Change) -> ObjectChange:
    action = "delete" if change.verb == "prune" else change.verb
    fields = tuple((one.path, one.before, one.after) for one in change.fields)
    return ObjectChange(str(change), action, fields)


__all__ = ["Meaning"]
