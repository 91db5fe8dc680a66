"""What can be learned of an AWS account in one region: the only module that reads with its client.

Credentials are found by the client's own rules (environment, profile, role), and are never looked
at here. Nothing in this module changes anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.account.model import Caller, Group, Quota, Started, Thing
from llmops.errors import InputError, UnreachableError

CONNECT, ANSWER = 5, 20
"""Seconds to be connected, and for an answer; the client tries again by itself."""

RUNNING = ("pending", "running", "stopping", "stopped", "shutting-down")
"""States of an instance that is there: a stopped one still costs its volumes."""
BILLED = frozenset({"pending", "running"})

SIGN_IN = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "AuthFailure",
    "UnrecognizedClientException", "InvalidSignatureException", "RequestExpired",
})  # fmt: skip
ENDING = ("Terminating", "Terminated", "Detach", "Quarantined")
"""How states begin of a machine that a group has given up."""
STARTED_BY = ("aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version")
"""Tags of EC2's own on a machine that a launch template has started."""
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class Account:
    """Reads one region of the account of these credentials."""

    def __init__(self, region: str, client_of: Any = None) -> None:
        """
        Args:
            region: Such as `us-east-1`.
            client_of: Gives the client of a service by its name; the environment's by default.
        """
        self.region = region
        self._client_of = client_of or client_maker(region)

    def who(self) -> Caller:
        """Who these credentials are."""
        with explained("sts:GetCallerIdentity"):
            found = self._client_of("sts").get_caller_identity()
            return Caller(found["Account"], found["Arn"])

    def region_is_open(self) -> bool:
        """Whether there is such a region, and the account may use it."""
        with explained("ec2:DescribeRegions"):
            found = self._client_of("ec2").describe_regions(AllRegions=True)["Regions"]
            status = {one["RegionName"]: one.get("OptInStatus") for one in found}
            return bool(status.get(self.region, "not-opted-in") != "not-opted-in")

    def zones_of(self, machines: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Zones of the region that offer each type of machine; none for one that is not offered."""
        with explained("ec2:DescribeInstanceTypeOfferings"):
            pages = self._client_of("ec2").get_paginator("describe_instance_type_offerings")
            found: dict[str, list[str]] = {machine: [] for machine in machines}
            for page in pages.paginate(
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": list(machines)}],
            ):
                for one in page["InstanceTypeOfferings"]:
                    found[one["InstanceType"]].append(one["Location"])
            return {machine: tuple(sorted(zones)) for machine, zones in found.items()}

    def leads_out(self, vpc: str, subnets: Sequence[str]) -> bool:
        """Whether every one of these subnets has a route to everywhere."""
        with explained("ec2:DescribeRouteTables"):
            pages = self._client_of("ec2").get_paginator("describe_route_tables")
            found = pages.paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
            tables = [table for page in found for table in page["RouteTables"]]
            return all(any(map(_is_out, _routes(tables, subnet))) for subnet in subnets)

    def endpoints(self, vpc: str) -> frozenset[str]:
        """Services of AWS that have an endpoint in a VPC, such as `ssm`."""
        with explained("ec2:DescribeVpcEndpoints"):
            pages = self._client_of("ec2").get_paginator("describe_vpc_endpoints")
            found = pages.paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
            prefix = f"com.amazonaws.{self.region}."
            return frozenset(
                one["ServiceName"].removeprefix(prefix)
                for page in found
                for one in page["VpcEndpoints"]
                if one.get("State", "").lower() == "available"
            )

    def vcpus_of(self, machine: str) -> int:
        """vCPUs of a type of machine."""
        with explained("ec2:DescribeInstanceTypes"):
            found = self._client_of("ec2").describe_instance_types(InstanceTypes=[machine])
            return int(found["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"])

    def image(self, parameter: str) -> str:
        """The image that a public parameter stands for now; empty where there is no such one."""
        found: dict[str, Any] = {"Parameter": {"Value": ""}}
        with explained("ssm:GetParameter"), forgiven("ParameterNotFound"):
            found = self._client_of("ssm").get_parameter(Name=parameter)
        return str(found["Parameter"]["Value"])

    def image_is_there(self, image: str) -> bool:
        """Whether an image can be used by this account in this region."""
        found: dict[str, Any] = {"Images": []}
        with explained("ec2:DescribeImages"), forgiven("InvalidAMIID"):
            found = self._client_of("ec2").describe_images(ImageIds=[image])
        return bool(found["Images"])

    def quotas(self) -> tuple[Quota, ...]:
        """How many vCPUs of each family this account may run at once."""
        with explained("servicequotas:ListServiceQuotas"):
            pages = self._client_of("service-quotas").get_paginator("list_service_quotas")
            found = [
                Quota(one["QuotaName"], float(one["Value"]))
                for page in pages.paginate(ServiceCode="ec2")
                for one in page["Quotas"]
            ]
            return tuple(found)

    def machines(self, tags: Mapping[str, str] | None = None) -> tuple[Thing, ...]:
        """Instances that are there; with tags, those that carry them (an empty value: any)."""
        with explained("ec2:DescribeInstances"):
            pages = self._client_of("ec2").get_paginator("describe_instances")
            filters = [{"Name": "instance-state-name", "Values": list(RUNNING)}, *_filters(tags)]
            found = [
                _machine(one, self.region)
                for page in pages.paginate(Filters=filters)
                for group in page["Reservations"]
                for one in group["Instances"]
            ]
            return tuple(found)

    def group(self, name: str) -> Group | None:
        """An Auto Scaling group and its machines; None where there is none of that name."""
        with explained("autoscaling:DescribeAutoScalingGroups"):
            client = self._client_of("autoscaling")
            found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
            groups = found["AutoScalingGroups"]
        if not groups:
            return None
        members = groups[0]["Instances"]
        known = self._instances([one["InstanceId"] for one in members])
        started = tuple(_started(one, known.get(one["InstanceId"])) for one in members)
        return Group(_template(groups[0]), started, int(groups[0]["DesiredCapacity"]))

    def _instances(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What EC2 says of instances, by id; one that is not there, or any more, is left out."""
        with explained("ec2:DescribeInstances"):
            pages = self._client_of("ec2").get_paginator("describe_instances")
            found = pages.paginate(Filters=[{"Name": "instance-id", "Values": list(ids)}])
            return {
                one["InstanceId"]: one
                for page in (found if ids else ())
                for group in page["Reservations"]
                for one in group["Instances"]
            }

    def starts(self, machine: str) -> tuple[str, str]:
        """Versions of the launch template that has started a machine: the one that did, and the one
        that starts it now; both empty where none did."""
        tags = _plain(self._instances([machine]).get(machine, {}).get("Tags", ()))
        template, version = (tags.get(name, "") for name in STARTED_BY)
        if not template:
            return "", ""
        with explained("ec2:DescribeLaunchTemplates"):
            client = self._client_of("ec2")
            named = client.describe_launch_templates(LaunchTemplateIds=[template])
            return version, str(named["LaunchTemplates"][0]["DefaultVersionNumber"])

    def volumes(self, tags: Mapping[str, str]) -> tuple[Thing, ...]:
        """Disks that carry these tags, and what they are attached to."""
        with explained("ec2:DescribeVolumes"):
            pages = self._client_of("ec2").get_paginator("describe_volumes")
            found = [
                _volume(one, self.region)
                for page in pages.paginate(Filters=_filters(tags))
                for one in page["Volumes"]
            ]
            return tuple(found)

    def groups(self, tags: Mapping[str, str]) -> tuple[Thing, ...]:
        """Autoscaling groups that carry these tags."""
        with explained("autoscaling:DescribeAutoScalingGroups"):
            pages = self._client_of("autoscaling").get_paginator("describe_auto_scaling_groups")
            found = [
                Thing(one["AutoScalingGroupARN"], "autoscaling:group",
                      one["AutoScalingGroupName"], _plain(one.get("Tags", ())))
                for page in pages.paginate(Filters=_filters(tags))
                for one in page["AutoScalingGroups"]
            ]  # fmt: skip
            return tuple(found)

    def tagged(self, tags: Mapping[str, str]) -> tuple[Thing, ...]:
        """Everything else that carries these tags, of whatever kind.

        Instances and disks are left out: this index goes on naming them after they have ended.
        """
        with explained("tag:GetResources"):
            pages = self._client_of("resourcegroupstaggingapi").get_paginator("get_resources")
            wanted = [
                {"Key": key, **({"Values": [tags[key]]} if tags[key] else {})} for key in tags
            ]
            found = [
                _thing(one["ResourceARN"], _plain(one.get("Tags", ())))
                for page in pages.paginate(TagFilters=wanted)
                for one in page["ResourceTagMappingList"]
            ]
            apart = {"ec2:instance", "ec2:volume", "autoscaling:group"}
            return tuple(thing for thing in found if thing.kind not in apart)

    def all_tagged(self, tags: Mapping[str, str]) -> tuple[Thing, ...]:
        """Everything that carries these tags."""
        return (
            *self.groups(tags),
            *self.machines(tags),
            *self.volumes(tags),
            *self.tagged(tags),
        )


def client_maker(region: str) -> Any:
    """Gives a client by the name of its service, with the credentials of the environment.

    Raises:
        InputError: When the client's package is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError as error:
        raise InputError(
            f"AWS needs the package {error.name}, which is not installed",
            hint="pip install 'llmops[aws]'",
        ) from error
    session = boto3.Session(region_name=region)
    config = Config(connect_timeout=CONNECT, read_timeout=ANSWER, retries={"mode": "standard"})
    made: dict[str, Any] = {}

    def client_of(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, config=config)
        return made[service]

    return client_of


@contextlib.contextmanager
def explained(action: str) -> Iterator[None]:
    """An error of the client in our words: its own may quote a signed request.

    Raises:
        InputError: When there are no credentials, or they do not hold.
        UnreachableError: When it cannot be asked, or refuses.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in SIGN_IN:
            raise InputError(
                f"AWS does not take these credentials ({code})",
                hint="sign in again, such as by: aws sso login",
            ) from error
        hint = "compare with the policy file in docs/aws.md" if code in DENIED else ""
        raise UnreachableError(f"AWS refused {action}: {code}", hint=hint) from error
    except BotoCoreError as error:
        name = type(error).__name__
        if "Credential" in name or name in ("TokenRetrievalError", "ProfileNotFound"):
            raise InputError(
                "there are no AWS credentials here",
                hint="sign in, such as by: aws sso login; or set AWS_PROFILE",
            ) from error
        raise UnreachableError(f"AWS could not be asked for {action}: {name}") from error


@contextlib.contextmanager
def forgiven(word: str) -> Iterator[None]:
    """Leave the block without an error when the client's says this word in its code."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if word not in code_of(error):
            raise


def code_of(error: Exception) -> str:
    """The code of a client's error; empty for another's."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _routes(tables: Sequence[Mapping[str, Any]], subnet: str) -> Sequence[Mapping[str, Any]]:
    """The routes of a subnet: of its own table, else of the VPC's main one."""
    for key, value in (("SubnetId", subnet), ("Main", True)):
        for table in tables:
            if any(one.get(key) == value for one in table.get("Associations", ())):
                found: Sequence[Mapping[str, Any]] = table["Routes"]
                return found
    return ()


def _is_out(route: Mapping[str, Any]) -> bool:
    everywhere = route.get("DestinationCidrBlock") == "0.0.0.0/0"
    return everywhere and route.get("State", "active") == "active"


def _filters(tags: Mapping[str, str] | None) -> list[dict[str, Any]]:
    return [
        {"Name": f"tag:{key}", "Values": [value]} if value
        else {"Name": "tag-key", "Values": [key]}
        for key, value in (tags or {}).items()
    ]  # fmt: skip


def _plain(tags: Any) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags}


def _machine(one: Mapping[str, Any], region: str) -> Thing:
    tags = _plain(one.get("Tags", ()))
    options = one.get("CpuOptions") or {}
    billed = one["State"]["Name"] in BILLED
    return Thing(
        f"arn:aws:ec2:{region}::instance/{one['InstanceId']}",
        "ec2:instance",
        one["InstanceId"],
        tags,
        tags.get("aws:autoscaling:groupName", ""),
        one["InstanceType"] if billed else "",
        "spot" if one.get("InstanceLifecycle") == "spot" else "on_demand",
        int(options.get("CoreCount", 0)) * int(options.get("ThreadsPerCore", 0)) if billed else 0,
    )


def _template(one: Mapping[str, Any]) -> str:
    """Of a group, or of one of its machines: id and version."""
    named = one.get("LaunchTemplate")
    return f"{named['LaunchTemplateId']}:{named['Version']}" if named else ""


def _started(one: Mapping[str, Any], known: Mapping[str, Any] | None) -> Started:
    """A machine of a group, by what the group and EC2 say of it."""
    return Started(
        one["InstanceId"],
        one["InstanceType"],
        (known or {}).get("PrivateIpAddress", ""),
        _template(one),
        known is not None and not one["LifecycleState"].startswith(ENDING),
        known["LaunchTime"].timestamp() if known else 0.0,
    )


def _volume(one: Mapping[str, Any], region: str) -> Thing:
    attached: Mapping[str, Any] = (one.get("Attachments") or [{}])[0]
    return Thing(
        f"arn:aws:ec2:{region}::volume/{one['VolumeId']}",
        "ec2:volume",
        one["VolumeId"],
        _plain(one.get("Tags", ())),
        attached.get("InstanceId", ""),
    )


def _thing(arn: str, tags: Mapping[str, str]) -> Thing:
    """From an ARN: `arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0a`."""
    parts = arn.split(":", 5)
    service, rest = parts[2], parts[5]
    if "/" in rest:
        kind, _, name = rest.partition("/")
    elif ":" in rest:
        kind, _, name = rest.partition(":")
    else:
        kind, name = "bucket" if service == "s3" else "", rest
    return Thing(arn, f"{service}:{kind}", name, tags)


__all__ = ["Account", "client_maker", "code_of", "explained"]
