"""Everything that is wrong is told at once, with a fix for each, before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.account import (
    Account,
    Caller,
    Check,
    Quota,
    Thing,
    Wanted,
    account_checks,
    program_checks,
    refuse,
)
from infra.tags import STACK_TAG
from llmops.errors import InputError, UnreachableError
from tests.infra.cloud import REGION, Cloud

pytestmark = pytest.mark.timeout(600)

SEALED = {"PULUMI_CONFIG_PASSPHRASE": "correct horse battery"}


def verdicts(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.verdict for check in checks}


def fails(text: str) -> str:
    raise InputError(text, hint="the hint")


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        (SEALED, "is there"),
        ({}, "there is none"),
        ({"PULUMI_CONFIG_PASSPHRASE": ""}, "it is empty"),
        ({"PULUMI_CONFIG_PASSPHRASE": "  "}, "it is empty"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/nowhere/at/all"}, "cannot be read"),
    ],
)
def test_a_stack_is_sealed_by_a_passphrase_that_is_not_empty(
    environment: dict[str, str], found: str
) -> None:
    checks = tuple(program_checks(environment, lambda: "3.272.0", lambda: "file:///b"))
    assert found in checks[-1].found
    assert (checks[-1].verdict == "ok") is (environment == SEALED)


def test_a_passphrase_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("correct horse battery\n")
    environment = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "phrase")}
    checks = tuple(program_checks(environment, lambda: "3.272.0", lambda: "s3://b"))
    assert verdicts(checks)["passphrase"] == "ok"


def test_a_backend_that_is_a_service_seals_by_itself() -> None:
    checks = tuple(program_checks({}, lambda: "v3.272.0", lambda: "https://app.pulumi.com/me"))
    assert verdicts(checks) == {"pulumi": "ok", "backend": "ok"}


@pytest.mark.parametrize("version", ["3.180.9", "2.99.0", "3.99.0-alpha.1"])
def test_an_old_program_is_refused(version: str) -> None:
    checks = tuple(program_checks(SEALED, lambda: version, lambda: "file:///b"))
    assert verdicts(checks) == {"pulumi": "fail"}
    assert "3.181.0" in checks[0].found


def test_a_missing_program_and_a_missing_login_are_told_with_their_fix() -> None:
    missing = tuple(program_checks(SEALED, lambda: fails("no program"), lambda: "b"))
    assert [(one.found, one.fix) for one in missing] == [("no program", "the hint")]
    logged_out = tuple(program_checks(SEALED, lambda: "3.272.0", lambda: fails("not signed in")))
    assert "PULUMI_BACKEND_URL" in logged_out[-1].fix


class Scripted(Account):
    """An account that says what a test wants."""

    def __init__(self, limit: float = 192.0, running: int = 0) -> None:
        super().__init__(REGION, client_of=lambda service: None)
        self.limit, self.running = limit, running

    def who(self) -> Caller:
        return Caller("123456789012", "arn:aws:iam::123456789012:user/dev")

    def region_is_open(self) -> bool:
        return True

    def zones_of(self, machines):  # type: ignore[no-untyped-def]
        return {one: (f"{REGION}a",) if one != "p9.none" else () for one in machines}

    def vcpus_of(self, machine: str) -> int:
        return 192

    def image_is_there(self, image: str) -> bool:
        return image != "ami-gone"

    def quotas(self) -> tuple[Quota, ...]:
        return (Quota("Running On-Demand P instances", self.limit),)

    def machines(self, tags=None):  # type: ignore[no-untyped-def]
        tags = {STACK_TAG: "mine"}
        return (Thing("a", "ec2:instance", "i", tags, machine="p5.48xlarge", vcpus=self.running),)


GOOD = Wanted("p5.48xlarge", 1, "on_demand", "m7i.xlarge", "ami-there")


def test_a_plan_that_can_be_made_passes_every_check() -> None:
    checks = tuple(account_checks(Scripted(), GOOD))
    assert set(verdicts(checks).values()) == {"ok"}
    assert "user/dev" in checks[0].found
    refuse(checks)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = Wanted("p9.none", 1, "on_demand", "m7i.xlarge", "ami-gone")
    checks = tuple(account_checks(Scripted(limit=0.0), wrong))
    assert verdicts(checks) == {
        "credentials": "ok", "region": "ok", "machine": "fail", "head": "ok", "zones": "ok",
        "image": "fail", "quota": "fail", "quota of the head": "ok",
    }  # fmt: skip
    with pytest.raises(InputError) as caught:
        refuse(checks)
    assert caught.value.exit_code == 2
    for part in (
        "p9.none",
        "ami-gone",
        "0 vCPUs, 0 run for others, 192 are",
        "nothing was changed",
    ):
        assert part in caught.value.message


class Apart(Scripted):
    """A region whose zones offer different things."""

    def zones_of(self, machines):  # type: ignore[no-untyped-def]
        known = {"p5.48xlarge": (f"{REGION}a",), "m7i.xlarge": (f"{REGION}b", f"{REGION}c")}
        return {one: known.get(one, ()) for one in machines}


def test_a_head_that_no_zone_offers_beside_the_machines_is_told() -> None:
    checks = {check.name: check for check in account_checks(Apart(), GOOD)}
    assert checks["zones"].verdict == "fail"
    assert "no zone of us-east-1 offers both p5.48xlarge (us-east-1a) and m7i" in (
        checks["zones"].found
    )
    assert "target.head_machine" in checks["zones"].fix


def test_the_zone_that_is_asked_for_must_offer_the_head_too() -> None:
    checks = {c.name: c for c in account_checks(Apart(), replace(GOOD, zone=f"{REGION}a"))}
    assert checks["machine"].verdict == "ok"
    assert checks["head"].found == "us-east-1a does not offer m7i.xlarge"


def network(cloud: Cloud, *services: str, out: bool = False) -> Wanted:
    """A VPC that is there, with endpoints of these services, and with a way out or none."""
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    for service in services:
        ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.{service}", SubnetIds=[subnet],
            VpcEndpointType="Gateway" if service == "s3" else "Interface",
        )  # fmt: skip
    if out:
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    needed = ("s3", "ssm", "ssmmessages", "secretsmanager", "logs")
    wanted = Wanted("g4dn.xlarge", 1, "on_demand", "m7i.xlarge", "")
    return replace(wanted, vpc=vpc, subnets=(subnet,), services=needed)


def told_of(wanted: Wanted) -> Check:
    [check] = [one for one in account_checks(Account(REGION), wanted) if one.name == "network"]
    return check


def test_a_vpc_that_is_there_leads_to_what_machines_ask_by_endpoints_or_by_a_route(
    cloud: Cloud,
) -> None:
    every = told_of(network(cloud, "s3", "ssm", "ssmmessages", "secretsmanager", "logs"))
    assert (every.verdict, "by endpoints in it" in every.found) == ("ok", True)
    routed = told_of(network(cloud, out=True))
    assert (routed.verdict, "by a route out" in routed.found) == ("ok", True)


def test_a_way_that_a_vpc_does_not_show_is_named(cloud: Cloud) -> None:
    check = told_of(network(cloud, "s3", "ssm", "ssmmessages"))
    assert check.verdict == "warn"
    assert "no way to secretsmanager, logs" in check.found


def test_a_quota_that_others_have_used_warns_and_lets_the_cloud_decide() -> None:
    checks = tuple(account_checks(Scripted(limit=192.0, running=192), GOOD))
    assert verdicts(checks)["quota"] == "warn"


def test_machines_of_this_very_stack_are_not_counted_twice() -> None:
    """A later deploy of the same file wants no more than what runs."""
    checks = tuple(account_checks(Scripted(limit=192.0, running=192), replace(GOOD, stack="mine")))
    assert verdicts(checks)["quota"] == "ok"
    checks = tuple(account_checks(Scripted(limit=192.0, running=192), replace(GOOD, stack="other")))
    assert verdicts(checks)["quota"] == "warn"


@pytest.mark.parametrize(
    ("name", "limit", "wrong"),
    [
        ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 100.0, "head"),
        ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 192.0, ""),
        ("Running On-Demand P and M instances", 200.0, "machines"),
        ("Running On-Demand P and M instances", 384.0, ""),
    ],
)
def test_the_head_has_a_quota_too_or_shares_that_of_the_machines(
    name: str, limit: float, wrong: str
) -> None:
    class Both(Scripted):
        def quotas(self) -> tuple[Quota, ...]:
            machines = () if " P and" in name else (Quota("Running On-Demand P instances", 192.0),)
            return (*machines, Quota(name, limit))

    found = verdicts(tuple(account_checks(Both(), GOOD)))
    failing = {one for one, verdict in found.items() if verdict == "fail"}
    assert failing == {"head": {"quota of the head"}, "machines": {"quota"}, "": set()}[wrong]


def test_what_may_not_be_looked_at_is_told_and_refuses_nothing() -> None:
    class Closed(Scripted):
        def quotas(self) -> tuple[Quota, ...]:
            raise UnreachableError("AWS refused servicequotas:ListServiceQuotas: AccessDenied")

    checks = tuple(account_checks(Closed(), GOOD))
    assert verdicts(checks)["quota"] == "warn"
    refuse(checks)


def test_without_credentials_nothing_else_of_the_account_is_guessed() -> None:
    class Nobody(Scripted):
        def who(self) -> Caller:
            raise InputError("there are no AWS credentials here", hint="aws sso login")

    checks = tuple(account_checks(Nobody(), GOOD))
    assert [(one.verdict, one.fix) for one in checks] == [("fail", "aws sso login")]


def test_doctor_looks_at_a_real_account_without_any_plan(cloud: Cloud) -> None:
    checks = tuple(account_checks(Account(REGION), None))
    assert verdicts(checks) == {"credentials": "ok", "region": "ok"}
