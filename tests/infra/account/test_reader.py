"""The readers of an account, against a cloud on loopback."""

from __future__ import annotations

import pytest

from infra.account import Account
from llmops.errors import InputError, UnreachableError
from tests.infra.cloud import REGION, Cloud

pytestmark = pytest.mark.timeout(600)

OURS = {"llmops:project": "llmops", "llmops:stack": "chat-us-east-1"}
ANY = {"llmops:project": ""}


def test_who_these_credentials_are(cloud: Cloud) -> None:
    caller = Account(REGION).who()
    assert caller.account == "123456789012"
    assert caller.arn.startswith("arn:aws:")


def test_only_zones_that_offer_a_machine_are_told(cloud: Cloud) -> None:
    zones = Account(REGION).zones_of(["g4dn.xlarge", "x0.nothing"])
    assert len(zones["g4dn.xlarge"]) >= 1
    assert all(zone.startswith(REGION) for zone in zones["g4dn.xlarge"])
    assert zones["x0.nothing"] == ()


def test_an_image_that_is_not_there_is_told(cloud: Cloud) -> None:
    account = Account(REGION)
    assert account.image_is_there(cloud.image())
    assert not account.image_is_there("ami-0123456789abcdef0")
    assert account.image("/aws/service/none") == ""


def test_a_region_that_is_not_open_is_told(cloud: Cloud) -> None:
    assert Account(REGION).region_is_open()
    assert not Account("xx-nowhere-1", Account(REGION)._client_of).region_is_open()


def test_what_carries_our_tags_is_found_and_nothing_else(cloud: Cloud) -> None:
    ours, other = cloud.machine(OURS), cloud.machine({"team": "search"})
    cloud.client("s3").create_bucket(Bucket="our-store")
    tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
    cloud.client("s3").put_bucket_tagging(Bucket="our-store", Tagging={"TagSet": tags})
    found = {thing.kind: thing for thing in Account(REGION).all_tagged(ANY)}
    assert found["ec2:instance"].id == ours
    assert found["s3:bucket"].id == "our-store"
    assert other not in {thing.id for thing in found.values()}
    assert Account(REGION).all_tagged({"llmops:stack": "another"}) == ()


def test_a_machine_that_has_ended_is_not_there(cloud: Cloud) -> None:
    gone = cloud.machine(OURS)
    cloud.client("ec2").terminate_instances(InstanceIds=[gone])
    assert [t for t in Account(REGION).all_tagged(ANY) if t.kind == "ec2:instance"] == []


def test_a_running_machine_has_its_type_and_a_stopped_one_costs_none(cloud: Cloud) -> None:
    running, stopped = cloud.machine(OURS), cloud.machine(OURS)
    cloud.client("ec2").stop_instances(InstanceIds=[stopped])
    found = {thing.id: thing for thing in Account(REGION).machines(ANY)}
    assert (found[running].machine, found[running].market) == ("g4dn.xlarge", "on_demand")
    assert found[stopped].machine == ""


def test_machines_of_a_group_that_an_older_template_has_started_are_behind(cloud: Cloud) -> None:
    template = cloud.template()
    cloud.group("pool", template, 2)
    found = Account(REGION).group("pool")
    assert found is not None
    assert (found.template, found.behind) == (f"{template}:1", ())
    assert all(one.address.startswith("10.") for one in found.there)
    assert [one.machine for one in found.there] == ["g4dn.xlarge"] * 2
    cloud.start_from("pool", template, "2")
    behind = Account(REGION).group("pool")
    assert behind is not None
    assert {one.id for one in behind.behind} == {one.id for one in found.there}
    assert Account(REGION).group("another") is None


def test_a_machine_knows_which_version_has_started_it_and_which_would_now(cloud: Cloud) -> None:
    template = cloud.template()
    started = cloud.client("ec2").run_instances(
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Default"}, MinCount=1, MaxCount=1
    )
    head = started["Instances"][0]["InstanceId"]
    assert Account(REGION).starts(head) == ("1", "1")
    cloud.renew(template)
    assert Account(REGION).starts(head) == ("1", "2")
    assert Account(REGION).starts(cloud.machine(OURS)) == ("", "")
    assert Account(REGION).starts("i-0123456789abcdef0") == ("", "")


def test_without_credentials_the_way_to_sign_in_is_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InputError, match="no AWS credentials") as caught:
        Account(REGION).who()
    assert "aws sso login" in caught.value.hint


def test_a_cloud_that_cannot_be_reached_is_told_without_its_request(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="could not be asked for sts:GetCallerIdentity"):
        Account(REGION).who()
