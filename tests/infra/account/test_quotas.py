"""Which quota bounds which machine."""

from __future__ import annotations

import pytest

from infra.account import Account, Quota, Thing, quota_of, used
from llmops.errors import UnreachableError

STANDARD = "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
QUOTAS = tuple(
    Quota(name, limit)
    for name, limit in (
        (STANDARD, 5.0),
        ("Running On-Demand G and VT instances", 64.0),
        ("Running On-Demand P instances", 192.0),
        ("Running On-Demand Trn instances", 8.0),
        ("All G and VT Spot Instance Requests", 32.0),
        ("All P4, P3 and P2 Spot Instance Requests", 1.0),
        ("All P5 Spot Instance Requests", 2.0),
        ("EC2-VPC Elastic IPs", 5.0),
    )
)


@pytest.mark.parametrize(
    ("machine", "market", "name"),
    [
        ("p5.48xlarge", "on_demand", "Running On-Demand P instances"),
        ("p5.48xlarge", "spot", "All P5 Spot Instance Requests"),
        ("p4d.24xlarge", "spot", "All P4, P3 and P2 Spot Instance Requests"),
        ("g6e.xlarge", "on_demand", "Running On-Demand G and VT instances"),
        ("vt1.3xlarge", "spot", "All G and VT Spot Instance Requests"),
        ("trn1.2xlarge", "on_demand", "Running On-Demand Trn instances"),
        ("m7i.xlarge", "on_demand", STANDARD),
        ("p5.48xlarge", "capacity_block", ""),
        ("hpc7a.12xlarge", "on_demand", ""),
    ],
)  # fmt: skip
def test_a_machine_is_counted_by_the_quota_of_its_family(
    machine: str, market: str, name: str
) -> None:
    found = quota_of(machine, market, QUOTAS)
    assert (found.name if found else "") == name


def test_what_runs_counts_only_where_it_is_counted() -> None:
    quota = quota_of("g6e.xlarge", "on_demand", QUOTAS)
    assert quota is not None
    running = [
        Thing("a", "ec2:instance", "i-1", machine="g4dn.xlarge", vcpus=4),
        Thing("b", "ec2:instance", "i-2", machine="g4dn.xlarge", vcpus=4, market="spot"),
        Thing("c", "ec2:instance", "i-3", machine="m7i.xlarge", vcpus=4),
        Thing("d", "ec2:instance", "i-4", vcpus=0),
    ]
    assert used(quota, running, QUOTAS) == 4


def test_quotas_are_read_from_every_page() -> None:
    """By botocore's own Stubber, which holds answers against the API's model: moto has no quotas
    of machines, so no server was asked."""
    import boto3
    from botocore.stub import Stubber

    client = boto3.client(
        "service-quotas", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    first, second = QUOTAS[1], QUOTAS[2]
    with Stubber(client) as stubbed:
        for quota, asked, more in (
            (first, {}, {"NextToken": "n"}), (second, {"NextToken": "n"}, {}),
        ):  # fmt: skip
            answer = {"Quotas": [{"QuotaName": quota.name, "Value": quota.limit}], **more}
            stubbed.add_response("list_service_quotas", answer, {"ServiceCode": "ec2", **asked})
        found = Account("us-east-1", client_of=lambda _: client).quotas()
        stubbed.assert_no_pending_responses()
    assert found == (first, second)


def test_quotas_that_may_not_be_read_are_told_with_the_action() -> None:
    import boto3
    from botocore.stub import Stubber

    client = boto3.client(
        "service-quotas", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubbed:
        stubbed.add_client_error("list_service_quotas", "AccessDeniedException")
        with pytest.raises(UnreachableError, match="servicequotas:ListServiceQuotas"):
            Account("us-east-1", client_of=lambda _: client).quotas()
