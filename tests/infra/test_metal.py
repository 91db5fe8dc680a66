"""A bare-metal cluster as a stack: what the SDK sends for it, held against the file itself."""

from __future__ import annotations

from functools import partial

from bare_metal.fabric import wire
from bare_metal.inventory import hosts_of, parse_cluster
from infra.metal import describe
from tests.infra.capturing import Captured, capture

FILE = """\
kind: Cluster
name: alpha
units: [{{name: su, count: 2, hosts: {hosts}, addresses: 10.0.0.1, hourly: 12.5}}]
bmc: {{user: canary-user, password: 'env:CANARY_PASSWORD'}}
"""


def _stack(hosts: int = 4) -> Captured:
    described = parse_cluster(FILE.format(hosts=hosts)).value
    return capture(partial(describe, described), stack="alpha")


def test_each_host_stands_below_the_cluster_and_nothing_is_made() -> None:
    found = _stack()
    assert not found.error
    described = parse_cluster(FILE.format(hosts=4)).value
    (cluster,) = found.of("llmops:metal:Cluster")
    hosts = found.of("llmops:metal:Host")
    assert sorted(one.name for one in hosts) == [host.name for host in hosts_of(described)]
    assert {one.parent for one in hosts} == {cluster.urn}
    assert not [one for one in found.resources.values() if one.custom], "nothing is made"


def test_what_others_need_is_exported_and_no_way_in_is() -> None:
    found = _stack()
    assert found.outputs["hosts"]["su1-001"] == "10.0.0.1"
    assert found.outputs["usdPerHour"] == 100.0
    assert "canary" not in repr(found).lower()


def test_another_cable_plan_is_another_digest_and_the_same_file_the_same() -> None:
    one, again, other = _stack(), _stack(), _stack(hosts=5)
    assert one.outputs == again.outputs
    assert one.outputs["cablesDigest"] != other.outputs["cablesDigest"]
    assert len(wire(parse_cluster(FILE.format(hosts=5)).value).cables) > 0
