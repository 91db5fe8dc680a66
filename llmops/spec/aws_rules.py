"""What no deployment on AWS can mean: the rules of the target `aws`. Pure.

What only AWS can tell (a type that a zone does not offer, a quota, a certificate that is not there)
is found out when it is asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from llmops.spec.aws import AwsNetwork, AwsTarget
from llmops.spec.document import Finding, Written
from llmops.spec.models import Deployment, Hardware
from llmops.spec.nodes import Trail
from llmops.spec.words import quoted

WIDEST, NARROWEST = 16, 22
"""Bits of the prefix of a VPC that is made: EC2 takes no wider one, and each of its subnets, a
sixteenth of it, has room for 50 machines or more."""

PRIVATE = tuple(ipaddress.IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

TARGET: Trail = ("target",)
NETWORK: Trail = ("target", "network")
ENDPOINT: Trail = ("target", "endpoint")

_OF_THE_MADE = ("cidr", "nat", "flow_logs")
"""Fields of a VPC that is made; one that is there has these from its owner."""


def find_on_aws(deployment: Deployment, target: AwsTarget, written: Written) -> Iterator[Finding]:
    """Everything that is wrong with a deployment because it runs on AWS."""
    yield from _source(deployment)
    yield from _hardware(deployment)
    yield from _market(target)
    yield from _roll(target)
    yield from _network(target.network, written)
    yield from _ways(deployment, target)
    yield from _endpoint(deployment, target)
    yield from _clients(target)
    yield from _logs(target, written)


def _source(deployment: Deployment) -> Iterator[Finding]:
    if deployment.model.source.startswith("file://"):
        yield Finding(
            ("model", "source"),
            "expected a source that the machines can reach, found a path of this machine's",
            "put the model in a bucket (s3://) or on the hub (hf://)", ((*TARGET, "kind"),),
        )  # fmt: skip


def _hardware(deployment: Deployment) -> Iterator[Finding]:
    hardware = deployment.hardware
    if isinstance(hardware, Hardware) and hardware.device == "cpu":
        yield Finding(
            ("hardware", "device"), "expected gpu or auto for the target aws, found cpu",
            "machines of this target have GPUs: leave it out", ((*TARGET, "kind"),),
        )  # fmt: skip


def _market(target: AwsTarget) -> Iterator[Finding]:
    trail, beside = (*TARGET, "reservation"), ((*TARGET, "market"),)
    if target.market == "capacity_block" and target.reservation is None:
        message = "expected the reservation of the capacity block, found nothing"
        yield Finding(trail, message, "add 'reservation: cr-…'", beside, key=True)
    if target.market == "spot" and target.reservation is not None:
        message = f"expected no reservation with market spot, found {quoted(target.reservation)}"
        hint = "write market: on_demand, or remove it: what is reserved is not taken away"
        yield Finding(trail, message, hint, beside, key=True)
    if target.reservation is not None and target.machine == "auto":
        yield Finding(
            (*TARGET, "machine"), "expected the type that was reserved, found 'auto'",
            "name it, such as machine: p5.48xlarge", (trail,),
        )  # fmt: skip
    yield from _zone(target)


def _roll(target: AwsTarget) -> Iterator[Finding]:
    if target.roll == "auto" and target.spare == 0:
        yield Finding(
            (*TARGET, "roll"),
            "expected a spare machine beside roll: auto, found none",
            "replicas of a machine that is replaced go to it: add 'spare: 1', or remove roll",
            ((*TARGET, "spare"),),
        )  # fmt: skip


def _zone(target: AwsTarget) -> Iterator[Finding]:
    trail: Trail = (*TARGET, "zone")
    made = target.network.vpc == "auto"
    if target.zone is None and target.reservation is not None and made:
        message = "expected the zone of the reservation, found nothing"
        hint = f"add 'zone: {target.region}a', or which it is"
        yield Finding(trail, message, hint, ((*TARGET, "reservation"),), key=True)
    if target.zone is not None and target.zone[:-1] != target.region:
        message = f"expected a zone of {target.region}, found {quoted(target.zone)}"
        yield Finding(trail, message, f"such as {target.region}a", ((*TARGET, "region"),))
    if target.zone is not None and not made:
        message = f"expected no zone beside a VPC that is there, found {quoted(target.zone)}"
        hint = "its subnets say it: remove one"
        yield Finding(trail, message, hint, ((*NETWORK, "vpc"),), key=True)


def _network(network: AwsNetwork, written: Written) -> Iterator[Finding]:
    vpc: Trail = (*NETWORK, "vpc")
    if network.vpc == "auto":
        for name in ("subnets", "public_subnets"):
            if getattr(network, name):
                message = f"expected no {name} of a VPC that is made, found some"
                hint = "name their VPC: network.vpc, or remove them"
                yield Finding((*NETWORK, name), message, hint, (vpc,), key=True)
        yield from _cidr(network.cidr)
        return
    if not network.subnets:
        message = f"expected the subnets of {network.vpc} for the machines, found none"
        yield Finding((*NETWORK, "subnets"), message, "add 'subnets: [subnet-…]'", (vpc,), key=True)
    for name in _OF_THE_MADE:
        if written((*NETWORK, name)):
            message = f"expected no {name} beside a VPC that is there, found one"
            hint = f"{network.vpc} has its owner's: remove it"
            yield Finding((*NETWORK, name), message, hint, (vpc,), key=True)


def _cidr(text: str) -> Iterator[Finding]:
    trail: Trail = (*NETWORK, "cidr")
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        message = f"expected an IPv4 network such as 10.80.0.0/16, found {quoted(text)}"
        yield Finding(trail, message, "its address must have no bits beyond the prefix")
        return
    if not WIDEST <= network.prefixlen <= NARROWEST:
        message = f"expected a prefix of {WIDEST} to {NARROWEST} bits, found {network.prefixlen}"
        yield Finding(trail, message, f"such as {network.network_address}/{WIDEST}")
    elif not any(network.subnet_of(private) for private in PRIVATE):
        message = f"expected private addresses, found {quoted(text)}"
        yield Finding(trail, message, "such as 10.80.0.0/16")


def _ways(deployment: Deployment, target: AwsTarget) -> Iterator[Finding]:
    """What machines without a way to the internet cannot fetch."""
    if target.network.vpc != "auto" or target.network.nat:
        return
    nat: Trail = (*NETWORK, "nat")
    source = deployment.model.source
    scheme = source.partition("://")[0]
    if scheme in ("hf", "gs"):
        yield Finding(
            ("model", "source"),
            f"expected a model in S3 for machines without NAT, found {quoted(source)}",
            "set target.network.nat to true, or copy the model to s3://", (nat,),
        )  # fmt: skip
    if target.packages == "index":
        yield Finding(
            (*TARGET, "packages"),
            "expected a folder of S3 for machines without NAT, found 'index'",
            "set target.network.nat to true, or put the locked wheels into s3:// (docs/aws.md)",
            (nat,),
        )  # fmt: skip


def _endpoint(deployment: Deployment, target: AwsTarget) -> Iterator[Finding]:
    endpoint = target.endpoint
    public: Trail = (*ENDPOINT, "public")
    certificate: Trail = (*ENDPOINT, "certificate")
    if endpoint.certificate is None:
        hint = "keys and texts must not travel in plain: add 'certificate: arn:aws:acm:…'"
        if endpoint.public:
            message = "expected a certificate for a public endpoint, found none"
            yield Finding(certificate, message, hint, (public,), key=True)
        for name in () if endpoint.public else ("hostname", "networks"):
            if getattr(endpoint, name):
                message = f"expected a certificate beside {name}, found none"
                yield Finding(certificate, message, hint, ((*ENDPOINT, name),), key=True)
    elif (region := endpoint.certificate.split(":")[3]) != target.region:
        yield Finding(
            certificate, f"expected a certificate in {target.region}, found one in {region}",
            "a load balancer takes those of its own region", ((*TARGET, "region"),),
        )  # fmt: skip
    if endpoint.public and not deployment.security.keys:
        yield Finding(
            ("security", "keys"), "expected the name of a key for a public endpoint, found none",
            "add one, such as keys: [team-a]", (public,),
        )  # fmt: skip
    if endpoint.public and target.network.vpc != "auto" and not target.network.public_subnets:
        message = f"expected public subnets of {target.network.vpc}, found none"
        hint = "add 'public_subnets: [subnet-…]', or make the endpoint internal"
        yield Finding((*NETWORK, "public_subnets"), message, hint, (public,), key=True)


def _logs(target: AwsTarget, written: Written) -> Iterator[Finding]:
    trail: Trail = (*TARGET, "logs")
    for name in ("days", "kms_key") if not target.logs.cloudwatch else ():
        if written((*trail, name)):
            message = f"expected logs.cloudwatch: true beside {name}, found none"
            yield Finding((*trail, name), message, "add it, or remove this", key=True)
    key = target.logs.kms_key
    if key is not None and (region := key.split(":")[3]) != target.region:
        yield Finding(
            (*trail, "kms_key"), f"expected a key in {target.region}, found one in {region}",
            "a log group takes those of its own region", ((*TARGET, "region"),),
        )  # fmt: skip


def _clients(target: AwsTarget) -> Iterator[Finding]:
    for index, text in enumerate(target.endpoint.networks):
        trail: Trail = (*ENDPOINT, "networks", index)
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            message = f"expected a network such as 10.0.0.0/8, found {quoted(text)}"
            yield Finding(trail, message, "its address must have no bits beyond the prefix")
            continue
        if network.prefixlen == 0 and not target.endpoint.public:
            yield Finding(
                trail, f"expected networks for an internal endpoint, found {quoted(text)}",
                "that is everywhere: name those of your clients, or set public to true",
                ((*ENDPOINT, "public"),),
            )  # fmt: skip
