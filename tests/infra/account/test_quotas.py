"""Which quota bounds which machine."""

from __future__ import annotations

import pytest

from infra.account import Quota, Thing, quota_of, used

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
