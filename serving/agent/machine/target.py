"""This machine as the agent's flow drives it: the target `local`, with its records in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from llmops.errors import RefusedError
from llmops.events import Flow, Warned
from llmops.planning import Facts
from llmops.releases import Release
from llmops.spec import Deployment
from llmops.targets import KeyInfo
from llmops.waiting import wait
from serving.agent.blobs import Blobs
from serving.agent.keys import edit_keys
from serving.agent.machine.joining import Machines
from serving.agent.stores import BlobPolicyStore, BlobReleaseStore
from serving.agent.together import as_one
from serving.local import LocalTarget

JOINED = 120.0
"""Seconds that machines which give signs of life may take to join; without one it goes on."""


class MachineTarget(LocalTarget):
    """Implements `llmops.targets.Operator`; what a machine cannot give up stays below its home."""

    def __init__(self, home: Path, blobs: Blobs, machines: Machines) -> None:
        super().__init__(
            home,
            store=BlobReleaseStore(blobs),
            policies=BlobPolicyStore(blobs),
            network=machines.network,
        )
        self._blobs = blobs
        self.machines = machines

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Look up what `local` does, and count in the machines that have joined."""
        facts = yield from super().resolve(deployment, offline=offline)
        return replace(facts, machine=as_one(facts.machine, self.machines.alive(), deployment))

    def stage(self, release: Release) -> Flow[None]:
        """What `local` does, once the machines that the plan counts on have joined: replicas that
        were placed before that would all stand on this one."""
        if self.machines.alive():
            yield from self.runtime.change(lambda members: members, release.plan)
            self.machines.tell(self.runtime.endpoint())
            yield from wait("runtime", self._joining, JOINED, expire_quietly=True, poll=1.0)
        yield from super().stage(release)

    def _joining(self) -> str | None:
        missing = self.machines.missing(self.runtime.endpoint())
        return f"{', '.join(missing)} joins" if missing else None

    def remove(self, service: str, number: int) -> Flow[None]:
        """What `local` does. A machine that is lost is named: what it had a part in ends here."""
        for address in self.machines.silent():
            yield Warned(f"{address} gives no sign of life: what ran there is not waited for")
        yield from super().remove(service, number)

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,  # noqa: ARG002 - a target's signature
        models: tuple[str, ...] = (),  # noqa: ARG002 - a target's signature
    ) -> tuple[KeyInfo, str]:
        """Refuse: a key that is made here is one that nobody could be shown.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(
            f"key '{name}' of {service} was taken away while the service was deployed",
            hint=f"it serves; llmops keys create {service} --key-name {name}",
        )

    def retire(self, service: str, *, keep_logs: bool) -> Flow[None]:
        """Remove the service's keys, in the store too, and what `local` removes."""
        edit_keys(self._blobs, lambda before: before.remove_service(service))
        yield from super().retire(service, keep_logs=keep_logs)
