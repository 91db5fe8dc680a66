"""What can be learned of the services of one namespace. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clusters import audit_trail, names, proof, telling
from clusters.lookup import Lookup
from clusters.meaning import Meaning
from clusters.shape import digest, shape_of
from clusters.upgrade import compared
from llmops.errors import InputError
from llmops.planning import Plan
from llmops.releases import Figures, Seen, figures_of
from llmops.spec import KubernetesTarget
from llmops.targets import KeyInfo, ServiceStatus
from llmops.upgrading import Upgrade
from serving.client import Endpoint
from serving.gateway import CALLERS, Anchor, Report


class ClusterObserver(Lookup, Meaning):
    """Implements `llmops.targets.Observer` in one namespace of one cluster."""

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
        return figures_of(told)

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

    def audit_lines(self, service: str, *, follow: bool) -> Iterator[str]:
        """The service's audit lines, of all gateways that are there.

        Raises:
            InputError: When the service was never deployed here.
            TargetError: When a gateway does not hand its lines out.
        """
        self.history(service)
        return audit_trail.lines(lambda: self._trails(service), follow=follow)

    def verify_audit(self, service: str) -> dict[str, Report]:
        """What was found of the chains of each gateway that is there; see `audit_lines`."""
        self.history(service)
        steps = self.steps(service)
        states = {
            gateway.pod: gateway.state
            for runtime in steps.live().runtimes
            for gateway in steps.gateways(runtime.id).pods
        }
        return {
            f"{trail.pod}: {callers}": audit_trail.verify(
                trail, callers, _anchor(states.get(trail.pod), callers)
            )
            for trail in self._trails(service)
            for callers in CALLERS
        }

    def _trails(self, service: str) -> list[audit_trail.Trail]:
        """The audit files of each gateway pod that runs one."""
        steps, key = self.steps(service), self.operator_key(service)
        return [
            audit_trail.Trail(self.client, self.namespace, gateway.pod, key)
            for runtime in steps.live().runtimes
            for gateway in steps.gateways(runtime.id).pods
        ]

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        """The service's API keys, revoked ones too; not the operator's."""
        return self._keys.list(service)


def _anchor(state: Mapping[str, Any] | None, callers: str) -> Anchor | None:
    """How far a gateway says that a chain of its has come."""
    told = (state or {}).get("audit", {}).get(callers)
    return Anchor(**told) if told else None


__all__ = ["ClusterObserver"]
