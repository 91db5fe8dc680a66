"""The whole stack of a service on AWS: which part gets what from which other.

It declares and decides nothing: what is to be is in the deployment and its plan.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.endpoint import Endpoint, EndpointArgs
from infra.aws.firewall import Firewall
from infra.aws.head import Head, HeadArgs
from infra.aws.logs import Logs, LogsArgs
from infra.aws.network import ANYWHERE, Network, NetworkArgs
from infra.aws.part import Scope
from infra.aws.pool import EFA, Pool, PoolArgs
from infra.aws.roles import MachineRole, RoleArgs
from infra.aws.services import Services
from infra.aws.store import Store, StoreArgs
from infra.aws.template import TemplateArgs
from infra.aws.token import Token
from infra.keeping import Keep
from infra.packages import Files
from infra.startup import Role, StartUp
from infra.tags import tags_of
from llmops.errors import TargetError
from llmops.planning import UNKNOWN, MachinePlan, Plan
from llmops.spec import HEAD_PORT, AwsTarget, Deployment


def declare(deployment: Deployment, plan: Plan, files: Files, keep: Keep) -> None:
    """Declare everything that the plan makes on AWS, and export what others need of it.

    Args:
        deployment: What was asked for.
        plan: What was planned for it.
        files: What machines install.
        keep: What stands, and that this takes nothing away of.

    Raises:
        TargetError: When the plan does not say which zones to be in.
    """
    target, machines = deployment.target, plan.machines
    if not isinstance(target, AwsTarget) or machines is None:
        raise TypeError("this program makes the machines of the target aws")
    if target.network.vpc == "auto" and not machines.zones:
        raise TargetError(
            f"which zones of {target.region} offer {machines.machine.value} was not looked up",
            hint="let AWS credentials be found, and plan again",
        )
    scope = Scope(deployment.name, target.region, tags_of(deployment, plan))
    provider = aws.Provider("aws", region=target.region)
    service = Service(scope, provider)
    parts = _Stack(service, scope, deployment, target, machines, files, keep)
    for name, value in parts.outputs().items():
        pulumi.export(name, value)


class Service(pulumi.ComponentResource):
    """Everything of one service."""

    def __init__(self, scope: Scope, provider: aws.Provider) -> None:
        super().__init__(
            "llmops:aws:Service", scope.service, None, pulumi.ResourceOptions(providers=[provider])
        )
        self.register_outputs({})


class _Stack:
    """The parts, each made once."""

    def __init__(
        self,
        service: Service,
        scope: Scope,
        deployment: Deployment,
        target: AwsTarget,
        machines: MachinePlan,
        files: Files,
        keep: Keep,
    ) -> None:
        self._scope, self._target, self._machines = scope, target, machines
        self._size = max(keep.machines, int(machines.count.value))
        self._files, self._model = files, deployment.model.source
        self._service = service
        efa = machines.fabric == EFA and (self._size > 1 or keep.close)
        self.network = Network(scope, _network(target, machines), service)
        self.firewall = Firewall(scope, self.network, service, efa=efa)
        self.logs = self._logs()
        Services(scope, self.network, self.firewall, service, logs=self.logs is not None)
        self.store = Store(scope, StoreArgs(target.store, files), service)
        self.token = Token(scope, service)
        self.head = self._head()
        self.pool = self._pool()
        self.endpoint = self._endpoint(target.endpoint.certificate)

    def outputs(self) -> dict[str, pulumi.Input[object]]:
        """What the stack tells whoever works with it. What it costs is planned for as many machines
        as are planned: of more it is not known here."""
        machines = self._machines
        more = self._size > int(machines.count.value)
        return {
            "region": self._scope.region,
            "store": self.store.url,
            "endpoint": self.endpoint.url if self.endpoint else "",
            "balancer": self.endpoint.dns_name if self.endpoint else "",
            "head": self.head.instance_id,
            "address": self.head.address,
            "port": str(HEAD_PORT),
            "pool": self.pool.group_name,
            "placement": self.pool.placement,
            "secret": self.token.arn,
            "vpc": self.network.vpc_id,
            "logs": self.logs.name if self.logs else "",
            "machine": machines.machine.value,
            "machines": self._size,
            "usd_per_hour": UNKNOWN if more else machines.usd_per_hour.value,
            "usd_per_month": UNKNOWN if more else machines.usd_per_month.value,
        }

    def _logs(self) -> Logs | None:
        """None where the file does not ask for it: then nothing is sent, and nothing is made."""
        asked = self._target.logs
        if not asked.cloudwatch:
            return None
        return Logs(self._scope, LogsArgs(asked.days, asked.kms_key), self._service)

    def _head(self) -> Head:
        role = self._role("head-role", leads=True)
        template = self._template(str(self._machines.head.value), role, Role.HEAD)
        groups = [self.firewall.machines]
        return Head(self._scope, HeadArgs(template, self.network.private[0], groups), self._service)

    def _pool(self) -> Pool:
        machines = self._machines
        role = self._role("worker-role", leads=False)
        template = self._template(str(machines.machine.value), role, Role.WORKER)
        return Pool(
            self._scope,
            PoolArgs(
                template=template,
                count=int(machines.count.value),
                size=self._size,
                rails=machines.rails,
                subnets=self.network.private,
                machines_group=self.firewall.machines,
                efa_group=self.firewall.efa,
            ),
            self._service,
        )

    def _role(self, name: str, *, leads: bool) -> MachineRole:
        reads = tuple(
            place for place in (self._model, self._target.packages) if place.startswith("s3://")
        )
        logs = self.logs.arn if self.logs else None
        args = RoleArgs(self.store.url, self.token.arn, reads, leads, logs)
        return MachineRole(name, self._scope, args, self._service)

    def _template(self, machine: str, role: MachineRole, part: Role) -> TemplateArgs:
        machines, region, packages = self._machines, self._scope.region, self._files.packages
        gpus = machines.gpus if part is Role.WORKER else 0
        group = self.logs.name if self.logs else ""
        startup = pulumi.Output.all(self.store.url, self.token.arn, group).apply(
            lambda known: StartUp(part, region, known[0], known[1], packages, gpus, known[2])
        )
        bought = part is Role.WORKER
        return TemplateArgs(
            machine=machine,
            image=str(machines.image.value),
            disk=int(machines.disk.value),
            profile_arn=role.profile_arn,
            startup=startup,
            market=machines.market if bought else "on_demand",
            reservation=machines.reservation if bought else "",
            groups=(self.firewall.machines,) if bought else (),
        )

    def _endpoint(self, certificate: str | None) -> Endpoint | None:
        """None where the file names no certificate: nothing is shown in the clear."""
        asked = self._target.endpoint
        if certificate is None:
            return None
        inside = ANYWHERE if asked.public else self.network.cidr
        args = EndpointArgs(
            certificate=certificate,
            hostname=asked.hostname or "",
            public=asked.public,
            vpc_id=self.network.vpc_id,
            subnets=self.network.public if asked.public else self.network.private,
            group=self.firewall.behind(asked.networks or (inside,)),
            head=self.head.instance_id,
        )
        return Endpoint(self._scope, args, self._service)


def _network(target: AwsTarget, machines: MachinePlan) -> NetworkArgs:
    network = target.network
    return NetworkArgs(
        vpc=network.vpc,
        zones=machines.zones,
        subnets=network.subnets,
        public_subnets=network.public_subnets,
        cidr=network.cidr,
        nat=network.nat,
        public=target.endpoint.public,
        flow_logs=network.flow_logs,
    )
