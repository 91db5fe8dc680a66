"""The least-privilege policy of the guide: its actions are AWS's, and no needed one is missing.

What is needed for each kind of resource is written here, from AWS's own list of actions; no account
was asked whether it is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.infra.api import SHAPES, model
from tests.infra.making import ROOT

POLICY: dict[str, Any] = json.loads((ROOT / "docs" / "aws-policy.json").read_text())
LONGEST = 6144
"""Characters of a managed policy, without white space."""

MODELS: Mapping[str, str] = {
    "autoscaling": "autoscaling", "ec2": "ec2", "elasticloadbalancing": "elbv2", "iam": "iam",
    "logs": "logs", "secretsmanager": "secretsmanager", "servicequotas": "service-quotas",
    "ssm": "ssm", "sts": "sts", "tag": "resourcegroupstaggingapi",
}  # fmt: skip
"""By the prefix of an action: the service whose calls it is named after; S3's differ."""

NO_CALLS = {"iam:PassRole"}
"""Actions that are no call."""

NEEDED: Mapping[str, str] = {
    "Group": "autoscaling:CreateAutoScalingGroup autoscaling:DeleteAutoScalingGroup"
    " autoscaling:TerminateInstanceInAutoScalingGroup autoscaling:SetInstanceProtection"
    " autoscaling:SuspendProcesses autoscaling:ResumeProcesses",
    "LogGroup": "logs:CreateLogGroup logs:PutRetentionPolicy logs:DeleteLogGroup"
    " logs:AssociateKmsKey",
    "DefaultSecurityGroup": "ec2:RevokeSecurityGroupIngress ec2:RevokeSecurityGroupEgress",
    "Eip": "ec2:AllocateAddress ec2:ReleaseAddress",
    "FlowLog": "ec2:CreateFlowLogs ec2:DeleteFlowLogs iam:PassRole",
    "Instance": "ec2:RunInstances ec2:TerminateInstances iam:PassRole",
    "InternetGateway": "ec2:CreateInternetGateway ec2:AttachInternetGateway"
    " ec2:DetachInternetGateway ec2:DeleteInternetGateway",
    "LaunchTemplate": "ec2:CreateLaunchTemplate ec2:CreateLaunchTemplateVersion"
    " ec2:ModifyLaunchTemplate ec2:DeleteLaunchTemplate",
    "NatGateway": "ec2:CreateNatGateway ec2:DeleteNatGateway",
    "NetworkInterface": "ec2:CreateNetworkInterface ec2:DeleteNetworkInterface",
    "PlacementGroup": "ec2:CreatePlacementGroup ec2:DeletePlacementGroup",
    "Route": "ec2:CreateRoute ec2:ReplaceRoute ec2:DeleteRoute",
    "RouteTable": "ec2:CreateRouteTable ec2:DeleteRouteTable",
    "RouteTableAssociation": "ec2:AssociateRouteTable ec2:DisassociateRouteTable",
    "SecurityGroup": "ec2:CreateSecurityGroup ec2:DeleteSecurityGroup",
    "Subnet": "ec2:CreateSubnet ec2:DeleteSubnet",
    "Vpc": "ec2:CreateVpc ec2:ModifyVpcAttribute ec2:DeleteVpc",
    "VpcEndpoint": "ec2:CreateVpcEndpoint ec2:ModifyVpcEndpoint ec2:DeleteVpcEndpoints",
    "InstanceProfile": "iam:CreateInstanceProfile iam:AddRoleToInstanceProfile"
    " iam:RemoveRoleFromInstanceProfile iam:DeleteInstanceProfile",
    "Role": "iam:CreateRole iam:TagRole iam:DeleteRole",
    "RolePolicy": "iam:PutRolePolicy iam:GetRolePolicy iam:DeleteRolePolicy",
    "Listener": "elasticloadbalancing:CreateListener elasticloadbalancing:DeleteListener",
    "LoadBalancer": "elasticloadbalancing:CreateLoadBalancer"
    " elasticloadbalancing:ModifyLoadBalancerAttributes elasticloadbalancing:DeleteLoadBalancer",
    "TargetGroup": "elasticloadbalancing:CreateTargetGroup"
    " elasticloadbalancing:ModifyTargetGroupAttributes elasticloadbalancing:DeleteTargetGroup",
    "TargetGroupAttachment": "elasticloadbalancing:RegisterTargets"
    " elasticloadbalancing:DeregisterTargets",
    "Bucket": "s3:CreateBucket s3:PutBucketTagging s3:DeleteBucket",
    "BucketLifecycleConfiguration": "s3:PutLifecycleConfiguration s3:GetLifecycleConfiguration",
    "BucketObjectv2": "s3:PutObject s3:PutObjectTagging s3:GetObject s3:DeleteObject",
    "BucketOwnershipControls": "s3:PutBucketOwnershipControls s3:GetBucketOwnershipControls",
    "BucketPolicy": "s3:PutBucketPolicy s3:GetBucketPolicy s3:DeleteBucketPolicy",
    "BucketPublicAccessBlock": "s3:PutBucketPublicAccessBlock s3:GetBucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration": "s3:PutEncryptionConfiguration"
    " s3:GetEncryptionConfiguration",
    "BucketVersioning": "s3:PutBucketVersioning s3:GetBucketVersioning",
    "Secret": "secretsmanager:CreateSecret secretsmanager:DescribeSecret"
    " secretsmanager:DeleteSecret",
    "SecurityGroupEgressRule": "ec2:AuthorizeSecurityGroupEgress ec2:RevokeSecurityGroupEgress",
    "SecurityGroupIngressRule": "ec2:AuthorizeSecurityGroupIngress ec2:RevokeSecurityGroupIngress",
}


def _actions() -> set[str]:
    found: set[str] = set()
    for statement in POLICY["Statement"]:
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def test_every_action_is_one_of_awss_calls() -> None:
    for action in _actions() - NO_CALLS:
        prefix, _, name = action.partition(":")
        if prefix == "s3":
            continue
        calls = model(MODELS[prefix]).operation_names
        assert any(fnmatch(call, name) for call in calls), action


@pytest.mark.parametrize("kind", sorted(kind.rpartition(":")[2] for kind in SHAPES))
def test_what_a_kind_of_resource_needs_is_allowed(kind: str) -> None:
    for action in NEEDED[kind].split():
        assert any(fnmatch(action, allowed) for allowed in _actions()), action


def test_only_looking_is_allowed_by_pattern() -> None:
    patterns = {action for action in _actions() if "*" in action}
    assert all(":Describe*" in pattern for pattern in patterns)


def test_what_is_changed_or_deleted_must_be_ours() -> None:
    for statement in POLICY["Statement"]:
        actions = statement["Action"]
        deleting = [one for one in actions if ":Delete" in one or ":Terminate" in one]
        if statement["Resource"] == "*" and deleting:
            condition = statement["Condition"]["StringEquals"]
            assert condition == {"aws:ResourceTag/llmops:project": "llmops"}, deleting


def test_it_is_no_longer_than_iam_takes() -> None:
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= LONGEST
