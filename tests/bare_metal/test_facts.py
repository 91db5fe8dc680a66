"""Parsers of facts: an answer that cannot be believed is unknown, and never an empty good one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bare_metal.hosts.connection import Files, Ran, RecordedConnector
from bare_metal.hosts.connection.files import MOST_BYTES, reading, taken_apart
from bare_metal.hosts.connection.recorded import RecordedHost
from bare_metal.hosts.facts import (
    NAMES,
    Answers,
    CommandFact,
    FileFact,
    HostFacts,
    Unknown,
    facts_of,
    gather,
    understood,
)
from bare_metal.inventory import hosts_of
from tests.bare_metal import trees

FACTS = facts_of(("mlx5_core",), load=True)


def known(folder: Path) -> HostFacts:
    host = hosts_of(trees.cluster())[0]
    trees.healthy(host.name, host.address).write(folder / host.name)
    found = gather([host], RecordedConnector(folder), load=True)[host.name]
    assert isinstance(found, HostFacts)
    return found


def test_every_fact_has_one_question_and_every_question_one_fact() -> None:
    assert sorted(fact.name for fact in FACTS) == sorted(NAMES)


def test_a_whole_recording_leaves_nothing_unknown(tmp_path: Path) -> None:
    found = known(tmp_path)
    unknown = [name for name in NAMES if isinstance(getattr(found, name), Unknown)]
    assert unknown == []


def test_values_are_what_the_files_say(tmp_path: Path) -> None:
    found = known(tmp_path)
    assert not isinstance(found.cpu, Unknown)
    assert (found.cpu.sockets, found.cpu.cores, found.cpu.threads) == (2, 8, 16)
    assert not isinstance(found.gpus, Unknown)
    assert (found.gpus[3].pci, found.gpus[3].ecc_errors) == ("0000:1d:00.0", 0)
    assert not isinstance(found.hcas, Unknown)
    assert (found.hcas[7].pci, found.hcas[7].numa, found.hcas[7].rate) == (trees.slot(7), 1, 400.0)
    assert found.hcas[7].counters == {"symbol_error": 0, "link_downed": 1}
    assert not isinstance(found.pci, Unknown)
    assert found.pci.devices[0].width == 16
    assert found.pci.devices[-1].driver == "igb"
    assert found.addresses == {"127.0.0.1": "lo", "10.0.0.1": "eno1"}
    assert not isinstance(found.clock, Unknown)
    assert (found.clock.ahead, found.clock.within) == (0.0, 0.01)
    assert found.builtin == ("nvme_core",)


@pytest.mark.parametrize("name", [fact.name for fact in FACTS])
def test_an_empty_or_failed_answer_is_unknown(name: str) -> None:
    fact = next(one for one in FACTS if one.name == name)
    bad: list[Answers] = []
    if isinstance(fact, CommandFact):
        failed = Ran(127, "", f"{fact.argv[0]}: not found")
        cut = Ran(None, "", "it did not end within 30 s")
        bad += [Answers({}, {name: failed}), Answers({}, {name: cut})]
    else:
        bad += [
            Answers({name: Files({}, failed="the disk is gone")}, {}),
            Answers({name: Files({})}, {}),
        ]
    for answers in bad:
        value = understood_one(answers, fact)
        assert isinstance(value, Unknown), f"{name}: {value!r} was taken of {answers}"
        assert value.reason


def understood_one(answers: Answers, fact: CommandFact | FileFact) -> object:
    files = {one.name: Files({}) for one in FACTS if isinstance(one, FileFact)}
    commands = {one.name: Ran(1) for one in FACTS if isinstance(one, CommandFact)}
    whole = Answers({**files, **answers.files}, {**commands, **answers.commands})
    return getattr(understood(whole, FACTS), fact.name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gpus", ""),
        ("gpus", "No devices were found\n"),
        ("gpus", "0, NVIDIA H100\n"),
        ("remapped", ""),
        ("nvlinks", ""),
        ("nvlink_errors", "nothing"),
        ("pci", ""),
        ("sysctl", ""),
        ("time", ""),
        ("clock", "noon"),
        ("disks", "{}"),
        ("disks", "not json"),
        ("units", ""),
        ("unit_files", ""),
        ("addresses", ""),
        ("neighbours", ""),
        ("neighbours", "{}"),
        ("neighbours", '{"lldp": {"interface": {"eth0": {}}}}'),
        ("neighbours", '{"lldp": [{"interface": [{"via": "LLDP"}]}]}'),
        ("chassis", '{"local-chassis": [{}]}'),
        ("chassis", "[]"),
        ("nccl", "# Out of bounds values : 0 OK\n"),
        ("dcgm", ""),
    ],
)
def test_a_command_that_ends_well_and_says_nothing_is_unknown(name: str, text: str) -> None:
    fact = next(one for one in FACTS if one.name == name)
    assert isinstance(understood_one(Answers({}, {name: Ran(0, text)}), fact), Unknown)


def test_neighbours_are_what_lldpcli_says_and_none_is_an_answer() -> None:
    fact = next(one for one in FACTS if one.name == "neighbours")
    text = (
        '{"lldp": [{"interface": [{"name": "rdma0", "chassis": [{"id": [{"type": "mac", "value":'
        ' "aa:bb"}], "name": [{"value": "leaf-1"}]}], "port": [{"id": [{"type": "local", "value":'
        ' "etp1"}], "descr": [{"value": "Ethernet0"}]}]}, {"name": "rdma1", "chassis": [{"id":'
        ' [{"type": "mac", "value": "aa:cc"}]}], "port": [{"id": [{"type": "mac", "value":'
        ' "aa:cd"}]}]}]}]}'
    )
    found = understood_one(Answers({}, {"neighbours": Ran(0, text)}), fact)
    assert isinstance(found, tuple)
    first, second = found
    assert (first.interface, first.name, first.ports) == ("rdma0", "leaf-1", ("etp1", "Ethernet0"))
    assert (second.chassis, second.name, second.ports) == ("aa:cc", "", ())
    nobody = understood_one(Answers({}, {"neighbours": Ran(0, '{"lldp": [{}]}')}), fact)
    assert nobody == ()


def test_addresses_of_adapters_are_those_in_use(tmp_path: Path) -> None:
    host = hosts_of(trees.cluster())[0]
    trees.healthy(host.name, host.address, ethernet=True).write(tmp_path / host.name)
    found = gather([host], RecordedConnector(tmp_path))[host.name]
    assert isinstance(found, HostFacts)
    assert not isinstance(found.gids, Unknown)
    assert len(found.gids) == 32
    last = found.gids[-1]
    assert (last.device, last.index, last.kind, last.interface) == ("mlx5_7", 3, "RoCE v2", "rdma7")
    assert (last.ipv4, found.gids[0].ipv4) == (True, False)
    assert not isinstance(found.flow_control, Unknown)
    assert found.flow_control["rdma7"] == (3,)


def test_entries_that_cannot_be_read_are_not_in_use_and_take_nothing_with_them() -> None:
    fact = next(one for one in FACTS if one.name == "gids")
    below = "/sys/class/infiniband/mlx5_0/ports/1"
    texts = {"/proc/version": "Linux", f"{below}/gids/0": "fe80::1", f"{below}/gids/1": "0::0"}
    files = Files(texts, unread=(f"{below}/gid_attrs/types/1",))
    found = understood_one(Answers({"gids": files}, {}), fact)
    assert isinstance(found, tuple)
    (gid,) = found
    assert (gid.index, gid.kind, gid.interface) == (0, "", "")


def test_what_is_not_among_the_questions_is_unknown(tmp_path: Path) -> None:
    host = hosts_of(trees.cluster())[0]
    trees.healthy(host.name, host.address).write(tmp_path / host.name)
    found = gather([host], RecordedConnector(tmp_path), only=("chassis",))[host.name]
    assert isinstance(found, HostFacts)
    assert not isinstance(found.chassis, Unknown)
    assert found.cpu == Unknown("it was not asked")


def test_a_log_that_cannot_be_searched_is_unknown_and_an_empty_one_is_not() -> None:
    fact = next(one for one in FACTS if one.name == "xids")
    nothing = Ran(1, "-- No entries --\n")
    assert understood_one(Answers({}, {"xids": nothing}), fact) == ()
    for ran in (
        Ran(1, "-- No entries --\n", "No journal files were found.\n"),
        Ran(1, "", "Compiled without pattern matching support"),
    ):
        assert isinstance(understood_one(Answers({}, {"xids": ran}), fact), Unknown)


def test_files_are_read_by_a_real_shell_as_they_are_from_a_tree(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "a").mkdir()
    texts = {"a/1": "one\n", "a/2": "", "a/3": "no newline", "a/4": "==> not a name\n\ntwo\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "a" / "big").write_text("x" * (MOST_BYTES + 5))
    pattern = f"{tmp_path}/a/*"
    argv = reading((pattern, f"{tmp_path}/absent/*"))
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    found = taken_apart(Ran(done.returncode, done.stdout, done.stderr))
    assert found.failed == ""
    assert {path: found.texts[f"{tmp_path}/{path}"] for path in texts} == texts
    assert len(found.texts[f"{tmp_path}/a/big"]) == MOST_BYTES


def test_no_file_at_all_is_no_failure_and_a_strange_answer_is_one() -> None:
    assert taken_apart(Ran(0, "")) == Files({})
    assert taken_apart(Ran(0, "Welcome to host 7!\n")).failed
    assert taken_apart(Ran(0, "==> /proc/../etc/shadow <==\nroot\n")).failed
    assert taken_apart(Ran(None, "", "it did not end")).failed
    assert taken_apart(Ran(1, "", "head: not found")).failed
    one = taken_apart(Ran(1, "==> /a <==\nx\n", "head: cannot open '/b' for reading: No access\n"))
    assert (one.texts, one.unread) == ({"/a": "x\n"}, ("/b",))


async def test_a_recorded_host_keeps_to_its_root(tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_text("here\n")
    host = RecordedHost(tmp_path / "root", {})
    files = await host.read(("/etc/*", "/absent"), seconds=1)
    assert files.texts == {"/etc/passwd": "here\n"}
    assert (await host.run(["lspci"], seconds=1)).code == 127


def test_facts_are_values_that_do_not_change(tmp_path: Path) -> None:
    found = known(tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.swap = 1  # type: ignore[misc]
