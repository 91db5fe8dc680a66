"""The target `aws` of a spec: which machines of EC2, in which network, and who can reach them.

Each field is documented right below it, as in `models`; what the fields cannot mean together is
refused by `aws_rules`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec.bounds import Form
from llmops.spec.cloud import CloudTarget, Reach
from llmops.spec.document import Section

REGION = (
    r"^[a-z]{2}(-gov|-iso[a-z]?)?"
    r"-(north|south|east|west|central|northeast|southeast|northwest|southwest)-[1-9][0-9]?$"
)
ZONE = f"{REGION.removesuffix('$')}[a-z]$"
INSTANCE = r"^[a-z][a-z0-9-]{1,20}\.[a-z0-9-]{2,20}$"
IMAGE = r"^(auto|ami-[0-9a-f]{8,17}|/[A-Za-z0-9_./-]{1,500})$"
BUCKET = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]+)?"
TLS_PORT = 443
CERTIFICATE = r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$"

InstanceType = Annotated[str, Field(pattern=INSTANCE), Form("an instance type such as g6e.xlarge")]
Subnet = Annotated[
    str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$"), Form("the id of a subnet: subnet-…")
]
Cidr = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"), Form("a network such as 10.0.0.0/8")
]


class AwsNetwork(Section):
    """The network that the machines stand in."""

    vpc: Annotated[str, Field(pattern=r"^(auto|vpc-[0-9a-f]{8,17})$"), Form("the id of a VPC")] = (
        "auto"
    )
    """`auto` makes a VPC of the service's own. The id of one that is there uses that; then
    `subnets` says where in it, and its owner sees to the ways out of it: a deploy looks whether
    they are there, and makes none."""

    subnets: Annotated[tuple[Subnet, ...], Field(strict=False)] = ()
    """Private subnets of that VPC for the machines. Each must have a way to S3, and to the services
    `ssm`, `ssmmessages` and `secretsmanager` of the region; to `logs` with `logs.cloudwatch`."""

    public_subnets: Annotated[tuple[Subnet, ...], Field(strict=False)] = ()
    """Public subnets of that VPC, for a public endpoint."""

    cidr: Cidr = "10.80.0.0/16"
    """Addresses of the VPC that is made, of 16 to 22 bits. Choose another where it is to be joined
    with networks that have these."""

    nat: bool = False
    """Whether machines in the VPC that is made can open connections to the internet, through a NAT
    gateway. Without it they reach S3 and what manages them, and nothing else."""

    flow_logs: bool = True
    """Whether the VPC that is made keeps a log of who connected to whom, for 30 days."""


class AwsEndpoint(Section):
    """How clients reach the service."""

    certificate: (
        Annotated[
            str,
            Field(pattern=CERTIFICATE),
            Form("the ARN of a certificate: arn:aws:acm:…:certificate/…"),
        ]
        | None
    ) = None
    """Certificate of AWS Certificate Manager, in the same region. With it a load balancer speaks
    TLS for the service. Without one none is made: clients reach the head's port 8000 through a
    session of Session Manager only."""

    hostname: (
        Annotated[
            str,
            Field(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]*[a-z0-9])?$"),
            Form("a host name such as chat.example.com"),
        ]
        | None
    ) = None
    """Host name that the certificate is for, by which clients ask. Point it to the load balancer:
    llmops changes no DNS."""

    public: bool = False
    """Whether the internet can reach the load balancer. Only with API keys."""

    networks: Annotated[tuple[Cidr, ...], Field(strict=False)] = ()
    """Networks that clients come from. None is the VPC itself, or everywhere where it is public."""


class AwsLogs(Section):
    """Logs of the machines in CloudWatch."""

    cloudwatch: bool = False
    """Whether what each machine says is sent to a log group of the service's own as well: its
    start-up, its agent, its Ray and each replica's engine. It costs by the GB."""

    days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = 30
    """How long it is kept there."""

    kms_key: (
        Annotated[
            str,
            Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$"),
            Form("the ARN of a key: arn:aws:kms:…:key/…"),
        ]
        | None
    ) = None
    """Key of AWS KMS that the log group is encrypted with; its policy must let CloudWatch use it.
    Without one it is encrypted with a key of AWS's own."""


class AwsTarget(CloudTarget):
    """Serve on machines of Amazon EC2 that are made for it."""

    kind: Literal["aws"]
    """The target: `local` is this machine, `agent` one that is reached through a store,
    `kubernetes` a cluster, `aws` machines of Amazon EC2, `bare_metal` hosts of one's own."""

    region: Annotated[str, Field(pattern=REGION), Form("a region such as us-east-1")]
    """Region of everything that is made."""

    zone: (
        Annotated[str, Field(pattern=ZONE), Form("a zone of the region such as us-east-1a")] | None
    ) = None
    """Zone that everything must stand in: that of `reservation`, which needs it. Without it, up to
    three zones that offer the machine. In a VPC that is there, its subnets say it."""

    machine: InstanceType | Literal["auto"] = "auto"
    """Instance type of the machines with GPUs, such as `g6e.xlarge`. `auto` takes the cheapest of
    the catalogue that the model fits on, and the plan lists the next ones."""

    market: Literal["on_demand", "spot", "capacity_block"] = "on_demand"
    """`spot` is cheaper, and can be taken away within two minutes; where there is none, the plan's
    next offer is the same machine on demand. `capacity_block` takes what was bought for a time, and
    needs `reservation`."""

    reservation: (
        Annotated[str, Field(pattern=r"^cr-[0-9a-f]{8,17}$"), Form("the id of a reservation: cr-…")]
        | None
    ) = None
    """Capacity reservation, or capacity block, that the machines are taken from."""

    head_machine: InstanceType = "m7i.xlarge"
    """Instance type of the head, which has no GPU: it runs the gateway, Ray's head and the agent
    that makes releases."""

    image: Annotated[
        str,
        Field(pattern=IMAGE),
        Form("'auto', the id of an image (ami-…), or the name of an SSM parameter with one"),
    ] = "auto"
    """Image of all machines. `auto` is the newest Deep Learning Base image of AWS with Ubuntu 24.04
    and NVIDIA's driver, by its public SSM parameter; the plan pins the id it stood for."""

    network: AwsNetwork = AwsNetwork()
    """The network that the machines stand in."""

    endpoint: AwsEndpoint = AwsEndpoint()
    """How clients reach the service."""

    logs: AwsLogs = AwsLogs()
    """Logs of the machines in CloudWatch; none unless it is asked for."""

    store: Annotated[
        str,
        Field(pattern=f"^(auto|{BUCKET})$"),
        Form("'auto', or s3://bucket/prefix"),
    ] = "auto"
    """Where releases, their state, the audit log and weights are kept. `auto` makes a bucket:
    encrypted, versioned, closed to the public, and never deleted with what is in it unasked."""

    packages: Annotated[
        str,
        Field(pattern=f"^(index|{BUCKET})$"),
        Form("'index', or s3://bucket/prefix"),
    ] = "index"
    """Where machines install the locked packages from: `index` is pip's own index, for which they
    need a way to it; or a folder of S3 that holds the wheels, put there by you. Either way every
    file must have the lock's hash."""

    @property
    def reach(self) -> Reach:
        """Without a load balancer only a session reaches the head."""
        if self.endpoint.certificate is None:
            return "machine"
        return "internet" if self.endpoint.public else "network"

    def address(self, service: str) -> tuple[str, int]:
        """The load balancer's, by the certificate's name; else the head's."""
        if self.endpoint.certificate is None:
            return super().address(service)
        return self.endpoint.hostname or super().address(service)[0], TLS_PORT
