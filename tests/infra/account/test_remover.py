"""What is taken away, and what is not."""

from __future__ import annotations

import pytest

from infra.account import Account, Remover, Thing
from tests.infra.cloud import REGION, Cloud

pytestmark = pytest.mark.timeout(600)

OURS = {"llmops:project": "llmops"}


def test_things_go_in_an_order_that_works_and_each_is_told(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    listed = [{"Key": key, "Value": value} for key, value in OURS.items()]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    machine = cloud.machine(OURS)
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ec2.create_tags(Resources=[vpc, subnet, volume], Tags=listed)
    found = Account(REGION).all_tagged(OURS)
    assert {vpc, subnet, machine, volume} <= {thing.id for thing in found}
    done = list(Remover(REGION).remove(found))
    assert [why for _, why in done if why] == []
    order = [thing.kind for thing, _ in done]
    assert order.index("ec2:instance") < order.index("ec2:subnet") < order.index("ec2:vpc")
    assert Account(REGION).all_tagged(OURS) == ()


def test_what_holds_data_is_never_taken(cloud: Cloud) -> None:
    bucket = Thing("arn:aws:s3:::our-store", "s3:bucket", "our-store")
    [(thing, why)] = Remover(REGION).remove((bucket,))
    assert thing is bucket
    assert "none of this kind" in why


def test_what_has_gone_meanwhile_is_no_failure(cloud: Cloud) -> None:
    gone = Thing("arn", "ec2:volume", "vol-0123456789abcdef0")
    assert list(Remover(REGION).remove((gone,))) == [(gone, "")]


def test_a_machine_of_a_group_is_replaced_and_the_group_stays_as_large(cloud: Cloud) -> None:
    cloud.group("pool", cloud.template(), 2)
    before = Account(REGION).group("pool")
    assert before is not None
    Remover(REGION).replace(before.machines[0].id)
    after = Account(REGION).group("pool")
    assert after is not None
    assert len(after.there) == 2
    assert before.machines[0].id not in {one.id for one in after.there}


def test_a_bucket_is_emptied_with_all_versions(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="full")
    s3.put_bucket_versioning(Bucket="full", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"one", b"two"):
        s3.put_object(Bucket="full", Key="a", Body=body)
    s3.delete_object(Bucket="full", Key="a")
    assert list(Remover(REGION).empty("full")) == [3]
    s3.delete_bucket(Bucket="full")
    assert list(Remover(REGION).empty("full-and-gone")) == []
