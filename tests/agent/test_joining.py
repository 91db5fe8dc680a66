"""Machines that join, as a plan for one machine takes them; and who may join."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InputError
from llmops.planning import Gpu, MachineFacts
from llmops.spec import Deployment, Model
from llmops.units import Replicas
from serving.agent import names
from serving.agent.machine.joining import CLUSTER, Joining, Machines
from serving.agent.nodes import NODE
from serving.agent.together import as_one
from serving.agent.words import Node
from tests.agent.worlds import MemoryBlobs, error_of

TOKEN = "t" * 40


def machine(cores: int, memory: int, gpus: int = 0) -> MachineFacts:
    return MachineFacts(
        cores, memory, memory * 3 // 4, 100, (Gpu("H100", 80, 80),) * gpus, "", None
    )


def wanted(replicas: int) -> Deployment:
    made = Deployment(name="chat", model=Model(source="hf://owner/name"))
    scaling = made.scaling.model_copy(update={"replicas": Replicas(1, replicas)})
    return made.model_copy(update={"scaling": scaling})


def test_a_machine_that_is_alone_is_itself() -> None:
    own = machine(8, 100)
    assert as_one(own, (), wanted(4)) is own


def test_one_replica_is_planned_for_the_best_machine() -> None:
    found = as_one(machine(8, 100), [machine(16, 400)], wanted(1))
    assert (found.cores, found.memory) == (16, 400)


def test_replicas_on_gpus_are_planned_for_machines_that_have_some() -> None:
    found = as_one(machine(4, 64), [machine(32, 400, 4), machine(32, 400, 4)], wanted(2))
    assert len(found.gpus) == 8
    assert "2 of 2 machines" in found.shares[0].words


@given(
    sizes=st.lists(
        st.tuples(st.integers(2, 64), st.integers(1, 1000), st.integers(0, 8)),
        min_size=2,
        max_size=5,
    ),
    replicas=st.integers(1, 12),
)
def test_what_fits_the_one_fits_the_machines_dealt_evenly(
    sizes: list[tuple[int, int, int]], replicas: int
) -> None:
    machines = [machine(*size) for size in sizes]
    one = as_one(machines[0], machines[1:], wanted(replicas))
    usable = [m for m in machines if m.gpus] or machines
    chosen = sorted(usable, key=lambda m: (len(m.gpus), m.memory), reverse=True)[:replicas]
    each = -(-replicas // len(chosen))
    for found in chosen:
        assert one.memory // replicas * each <= found.memory
        assert one.memory_free // replicas * each <= found.memory_free
        assert len(one.gpus) // replicas * each <= len(found.gpus)
        assert (one.cores - 1) // replicas * each <= max(each, found.cores - 1)


def test_both_are_needed_to_join(tmp_path: Path) -> None:
    assert Joining.of(None, None) is None
    for address, file in (("10.0.0.4", None), (None, tmp_path)):
        error = error_of(Joining.of, address, file)
        assert isinstance(error, InputError)
        assert "--address and --token-file" in error.message


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (TOKEN, 0o644, "can be read by others"),
        ("short", 0o600, "is no token"),
        (f"{TOKEN} {TOKEN}", 0o600, "is no token"),
        (None, 0, "cannot be read"),
    ],
)
def test_a_token_that_will_not_do_is_refused(
    tmp_path: Path, text: str | None, mode: int, told: str
) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    error = error_of(Joining.of, "10.0.0.4", file)
    assert told in error.message
    assert TOKEN not in error.message + error.hint


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "gpu-1", "224.0.0.1"])
def test_an_address_that_is_none_of_one_machine_is_refused(tmp_path: Path, address: str) -> None:
    assert isinstance(error_of(Joining.of, address, tmp_path / "token"), InputError)


def test_a_fingerprint_tells_tokens_apart_and_none_of_their_text(tmp_path: Path) -> None:
    prints = set()
    for number in range(3):
        file = tmp_path / f"token{number}"
        file.write_text(f"{TOKEN}{number}")
        file.chmod(0o600)
        joining = Joining.of("127.0.0.1", file)
        assert joining is not None
        prints.add(joining.network.fingerprint())
        assert joining.network.loopback
    assert len(prints) == 3
    assert not any(TOKEN[:8] in one for one in prints)


def test_machines_count_that_live_and_are_missed_until_they_have_joined(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    blobs, now = MemoryBlobs(), 1000.0
    machines = Machines(blobs, Joining.of("10.0.0.4", file), lambda: now)
    for name, joined, renewed, ended in (
        ("there", "10.0.0.4:6379", now - 1, False),
        ("coming", "", now - 1, False),
        ("silent", "", now - 60, False),
        ("stopped", "", now - 1, True),
    ):
        node = Node(name, name, machine(8, 100), joined, renewed, 1, 20.0, ended=ended)
        NODE.create(blobs, names.node(name), node)
    assert len(machines.alive()) == 2
    assert machines.missing({"ray": "10.0.0.4:6379"}) == ("coming",)
    assert Machines(blobs, None).alive() == (), "where none may join, none counts"


def test_where_to_join_is_told_once_and_without_the_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    blobs = MemoryBlobs()
    machines = Machines(blobs, Joining.of("10.0.0.4", file))
    for _ in range(3):
        machines.tell({"ray": "10.0.0.4:6379"})
    assert blobs.writes == 1
    told, _ = CLUSTER.read(blobs, names.CLUSTER)
    assert told is not None
    assert told.address == "10.0.0.4:6379"
    assert TOKEN.encode() not in blobs.held[names.CLUSTER][0]
    machines.tell(None)
    told, _ = CLUSTER.read(blobs, names.CLUSTER)
    assert told is not None
    assert told.address == ""
