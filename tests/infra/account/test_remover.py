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


@pytest.mark.parametrize(("successor", "left"), [(True, 2), (False, 1)])
def test_a_machine_of_a_group_is_ended_and_another_started_or_the_group_made_smaller(
    cloud: Cloud, *, successor: bool, left: int
) -> None:
    cloud.group("pool", cloud.template(), 2)
    before = Account(REGION).group("pool")
    assert before is not None
    assert before.desired == 2
    Remover(REGION).end(before.machines[0].id, successor=successor)
    after = Account(REGION).group("pool")
    assert after is not None
    assert (len(after.there), after.desired) == (left, left)
    assert before.machines[0].id not in {one.id for one in after.there}
    assert before.machines[1].id in {one.id for one in after.there}


def test_a_group_ends_no_protected_machine_of_its_own_choice_but_the_one_that_is_named(
    cloud: Cloud,
) -> None:
    """As moto has it; that AWS does is what its guide says."""
    cloud.group("pool", cloud.template(), 3, protected=True)
    cloud.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="pool", MinSize=1, MaxSize=1, DesiredCapacity=1
    )
    there = Account(REGION).group("pool")
    assert there is not None
    assert len(there.there) == 3, "all stay, whatever it is told to keep"
    cloud.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="pool", MinSize=1, MaxSize=3, DesiredCapacity=3
    )
    Remover(REGION).end(there.machines[1].id, successor=False)
    after = Account(REGION).group("pool")
    assert after is not None
    assert {one.id for one in after.there} == {there.machines[0].id, there.machines[2].id}


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
