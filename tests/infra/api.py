"""The inputs of resources held against the models of AWS's API that botocore ships.

For each kind of resource the shape of the call that makes it is named, and what the provider calls
otherwise. What this proves: that a name is one of the API's, and a value one that its model allows
(type, range, word, form). What it does not: that the API takes the values together, that the
provider sends them so, and that they exist. What is not of the API is named in `PROVIDERS_OWN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.model import ServiceModel, Shape, StructureShape
from botocore.session import get_session

SHAPES: Mapping[str, tuple[str, str]] = {
    "aws:autoscaling/group:Group": ("autoscaling", "CreateAutoScalingGroupType"),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "PutRetentionPolicyRequest"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": ("ec2", "SecurityGroup"),
    "aws:ec2/eip:Eip": ("ec2", "AllocateAddressRequest"),
    "aws:ec2/flowLog:FlowLog": ("ec2", "CreateFlowLogsRequest"),
    "aws:ec2/instance:Instance": ("ec2", "RunInstancesRequest"),
    "aws:ec2/internetGateway:InternetGateway": ("ec2", "AttachInternetGatewayRequest"),
    "aws:ec2/launchTemplate:LaunchTemplate": ("ec2", "RequestLaunchTemplateData"),
    "aws:ec2/natGateway:NatGateway": ("ec2", "CreateNatGatewayRequest"),
    "aws:ec2/networkInterface:NetworkInterface": ("ec2", "CreateNetworkInterfaceRequest"),
    "aws:ec2/placementGroup:PlacementGroup": ("ec2", "CreatePlacementGroupRequest"),
    "aws:ec2/route:Route": ("ec2", "CreateRouteRequest"),
    "aws:ec2/routeTable:RouteTable": ("ec2", "CreateRouteTableRequest"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("ec2", "AssociateRouteTableRequest"),
    "aws:ec2/securityGroup:SecurityGroup": ("ec2", "CreateSecurityGroupRequest"),
    "aws:ec2/subnet:Subnet": ("ec2", "CreateSubnetRequest"),
    "aws:ec2/vpc:Vpc": ("ec2", "CreateVpcRequest"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("ec2", "CreateVpcEndpointRequest"),
    "aws:iam/instanceProfile:InstanceProfile": ("iam", "AddRoleToInstanceProfileRequest"),
    "aws:iam/role:Role": ("iam", "CreateRoleRequest"),
    "aws:iam/rolePolicy:RolePolicy": ("iam", "PutRolePolicyRequest"),
    "aws:lb/listener:Listener": ("elbv2", "CreateListenerInput"),
    "aws:lb/loadBalancer:LoadBalancer": ("elbv2", "CreateLoadBalancerInput"),
    "aws:lb/targetGroup:TargetGroup": ("elbv2", "CreateTargetGroupInput"),
    "aws:lb/targetGroupAttachment:TargetGroupAttachment": ("elbv2", "RegisterTargetsInput"),
    "aws:s3/bucket:Bucket": ("s3", "CreateBucketRequest"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "s3", "BucketLifecycleConfiguration",
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("s3", "PutObjectRequest"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ("s3", "OwnershipControlsRule"),
    "aws:s3/bucketPolicy:BucketPolicy": ("s3", "PutBucketPolicyRequest"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        "s3", "PublicAccessBlockConfiguration",
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3", "ServerSideEncryptionConfiguration",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": ("s3", "VersioningConfiguration"),
    "aws:secretsmanager/secret:Secret": ("secretsmanager", "CreateSecretRequest"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": ("ec2", "IpPermission"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("ec2", "IpPermission"),
}  # fmt: skip
"""By the kind of a resource: the service, and the shape that its inputs are members of."""

CALLED: Mapping[str, str] = {
    "Group.launchTemplate.id": "LaunchTemplateId",
    "Group.protectFromScaleIn": "NewInstancesProtectedFromScaleIn",
    "Group.vpcZoneIdentifiers": "VPCZoneIdentifier",
    "FlowLog.iamRoleArn": "DeliverLogsPermissionArn",
    "Instance.launchTemplate.id": "LaunchTemplateId",
    "InstanceProfile.role": "RoleName",
    "LaunchTemplate.networkInterfaces.securityGroups": "Groups",
    "LaunchTemplate.vpcSecurityGroupIds": "SecurityGroupIds",
    "Listener.defaultActions": "DefaultActions",
    "LoadBalancer.loadBalancerType": "Type",
    "NetworkInterface.securityGroups": "Groups",
    "Role.assumeRolePolicy": "AssumeRolePolicyDocument",
    "RolePolicy.policy": "PolicyDocument",
    "RolePolicy.role": "RoleName",
}
"""What the provider calls otherwise than the API."""

PROVIDERS_OWN: Mapping[str, tuple[str, ...]] = {
    "BucketLifecycleConfiguration": ("bucket",),
    "BucketObjectv2": ("source",),
    "BucketOwnershipControls": ("bucket", "rule"),
    "BucketPublicAccessBlock": ("bucket",),
    "Bucket": ("bucketPrefix", "forceDestroy"),
    "BucketServerSideEncryptionConfiguration": ("bucket",),
    "BucketVersioning": ("bucket", "versioningConfiguration"),
    "DefaultSecurityGroup": ("ingress", "egress"),
    "FlowLog": ("vpcId",),
    "Group": ("waitForCapacityTimeout", "ignoreFailedScalingActivities", "suspendedProcesses"),
    "Instance": ("primaryNetworkInterface", "userDataReplaceOnChange"),
    "LaunchTemplate": ("updateDefaultVersion",),
    "Listener": ("certificateArn",),
    "LogGroup": ("kmsKeyId",),
    "LoadBalancer": ("internal", "enableCrossZoneLoadBalancing"),
    "Secret": ("recoveryWindowInDays",),
    "SecurityGroupEgressRule": (
        "securityGroupId", "description", "cidrIpv4", "referencedSecurityGroupId", "prefixListId",
    ),
    "SecurityGroupIngressRule": (
        "securityGroupId", "description", "cidrIpv4", "referencedSecurityGroupId",
    ),
    "Subnet": ("mapPublicIpOnLaunch",),
    "TargetGroup": ("connectionTermination", "healthCheck"),
    "TargetGroupAttachment": ("targetId", "port"),
    "Vpc": ("enableDnsSupport", "enableDnsHostnames"),
}  # fmt: skip
"""What the provider sends by other calls, or keeps to itself."""


@cache
def model(service: str) -> ServiceModel:
    """The API of a service."""
    return ServiceModel(get_session().get_service_data(service), service)


def wrong(kind: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """What of a resource's inputs the API does not know or allow."""
    name = kind.rpartition(":")[2]
    service, shape = SHAPES[kind]
    own = PROVIDERS_OWN.get(name, ())
    known = {key: value for key, value in inputs.items() if key not in (*own, "tags")}
    yield from _structure(model(service).shape_for(shape), known, name)


def _structure(shape: StructureShape, values: Mapping[str, Any], path: str) -> Iterator[str]:
    members = {member.casefold(): member for member in shape.members}
    for key, value in values.items():
        inside = f"{path}.{key}"
        member = members.get(CALLED.get(inside, key).casefold())
        if member is None:
            yield f"{inside}: {shape.name} has no such member"
        else:
            yield from _checked(shape.members[member], value, inside)


def _checked(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        yield from _structure(shape, value, path)
    elif shape.type_name == "structure" and isinstance(value, list):
        for one in value:  # the API has one where the provider takes a list
            yield from _checked(shape, one, path)
    elif shape.type_name == "list":
        for one in _listed(shape.member, value):
            yield from _checked(shape.member, one, path)
    elif isinstance(value, list):  # joined by the provider
        for one in value:
            yield from _checked(shape, one, path)
    else:
        yield from _scalar(shape, value, path)


def _listed(member: Shape, value: Any) -> list[Any]:
    """What is a list in the API: tags are a mapping in the provider's words."""
    if isinstance(value, Mapping) and {"Key", "Value"} <= set(getattr(member, "members", ())):
        return [{"key": key, "value": word} for key, word in value.items()]
    return value if isinstance(value, list) else [value]


def _scalar(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "boolean" and value not in (True, False, "true", "false"):
        yield f"{path}: expected a boolean, found {value!r}"
    if kind in ("integer", "long"):
        yield from _number(shape, value, path)
    if kind == "string":
        yield from _text(shape, value, path)


def _number(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        yield f"{path}: expected a whole number, found {value!r}"
        return
    low, high = shape.metadata.get("min", value), shape.metadata.get("max", value)
    if not low <= value <= high:
        yield f"{path}: expected {low} to {high}, found {value}"


def _text(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: expected a text, found {value!r}"
        return
    if (words := shape.metadata.get("enum")) and value not in words:
        yield f"{path}: expected one of {', '.join(words)}, found {value!r}"
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", len(value))
    if not low <= len(value) <= high:
        yield f"{path}: expected {low} to {high} characters, found {len(value)}"
    form = _form(shape.metadata.get("pattern", ""))
    if form is not None and not form.search(value):
        yield f"{path}: expected the form {form.pattern}, found {value!r}"


@cache
def _form(pattern: str) -> re.Pattern[str] | None:
    """A form as Python reads it; None where it is written for another language."""
    try:
        return re.compile(pattern)
    except re.error:
        return None
