"""`hf://`: the real client against a hub on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from llmops.errors import ModelError
from llmops.events import Event
from serving.models import Models, download
from tests.models.conftest import TOKEN
from tests.models.making import (
    CONFIG,
    PARAMETERS,
    Canary,
    contents_of,
    have,
    left_over,
    model_files,
    outcome,
    reasons,
    visible,
)
from tests.models.waiting import until
from tests.support.hub import HubServer

SOURCE = "hf://acme/tiny"
SHARD, OTHER = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_a_model_is_described_without_its_weights(hub: HubServer, models: Models) -> None:
    commit = hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    assert facts.revision == commit
    assert facts.config == CONFIG
    assert facts.parameters == 2 * PARAMETERS
    assert facts.dtypes == {"F16": 2 * PARAMETERS}
    assert facts.weight_bytes == 4 * PARAMETERS
    assert facts.download_bytes == sum(len(content) for content in model_files().values())
    assert facts.chat_template
    ranges = [asked.range for asked in hub.fetched(SHARD)]
    assert ranges
    assert all(int(r.split("-")[1]) < 1000 for r in ranges), f"weights were read: {ranges}"


def test_what_is_fetched_is_what_the_commit_holds(hub: HubServer, models: Models) -> None:
    hub.publish("acme/tiny", model_files())
    told: list[Event] = []
    facts = models.describe(SOURCE, None)
    directory = outcome(models.ensure(SOURCE, facts.revision), told)
    assert contents_of(directory) == model_files()
    assert models.verified(SOURCE, facts.revision) == directory
    assert any(reason.startswith(f"fetching {SOURCE} (") for reason in reasons(told))


def test_a_model_that_is_here_is_not_fetched_again(hub: HubServer, models: Models) -> None:
    commit = hub.publish("acme/tiny", model_files())
    have(models, SOURCE)
    asked = len(hub.asked)
    facts = models.describe(SOURCE, commit)
    outcome(models.ensure(SOURCE, commit))
    assert facts.download_bytes == 0
    assert len(hub.asked) == asked, "a pinned model that is here was asked for"


def test_a_branch_is_resolved_once_and_the_commit_is_what_is_fetched(
    hub: HubServer, models: Models
) -> None:
    old = hub.publish("acme/tiny", model_files(), branch="stable")
    facts = models.describe(SOURCE, "stable")
    new = hub.publish("acme/tiny", model_files(seed=7), branch="stable")
    directory = outcome(models.ensure(SOURCE, facts.revision))
    assert facts.revision == old != new
    assert contents_of(directory) == model_files()
    assert models.describe(SOURCE, "stable").revision == new


def test_only_config_tokenizer_and_safetensors_leave_the_hub(
    hub: HubServer, models: Models, tmp_path: Path
) -> None:
    canary = Canary(tmp_path / "sang")
    extra = {
        "pytorch_model.bin": canary.pickled(),
        "modeling_tiny.py": b"raise SystemExit('ran')",
        "README.md": b"a card",
        "original/consolidated.safetensors": b"the weights again",
        "onnx/model.onnx": b"and again",
        ".gitattributes": b"",
    }
    hub.publish("acme/tiny", model_files() | extra)
    directory = have(models, SOURCE)
    assert contents_of(directory) == model_files()
    assert hub.names() == set(model_files())
    assert not canary.sang


def test_weights_that_no_engine_loads_are_neither_counted_nor_fetched(
    hub: HubServer, models: Models
) -> None:
    hub.publish("acme/tiny", model_files() | {"consolidated.safetensors": model_files()[SHARD]})
    facts = models.describe(SOURCE, None)
    assert facts.parameters == 2 * PARAMETERS
    assert "consolidated.safetensors" not in contents_of(have(models, SOURCE))


# Faults


def test_a_cut_connection_is_taken_up_where_it_broke(
    hub: HubServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    hub.cut(SHARD, after=50_000)
    hub.asked.clear()
    directory = outcome(models.ensure(SOURCE, facts.revision))
    first, second = hub.fetched(SHARD, "storage")
    assert first.range.startswith("bytes=0-")
    begin = int(second.range.removeprefix("bytes=").split("-")[0])
    assert 0 < begin <= 50_000, f"the second request began at {begin}"
    assert contents_of(directory) == model_files()


def test_a_hub_that_ignores_ranges_costs_time_and_no_byte(
    hub: HubServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    hub.publish("acme/tiny", model_files())
    hub.ignores_ranges = True
    facts = models.describe(SOURCE, None)
    assert facts.parameters == 2 * PARAMETERS
    hub.cut(SHARD, after=50_000)
    assert contents_of(outcome(models.ensure(SOURCE, facts.revision))) == model_files()


def test_a_busy_hub_is_asked_again(
    hub: HubServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.25)
    hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    hub.answer(SHARD, 429, 503)
    told: list[Event] = []
    assert contents_of(outcome(models.ensure(SOURCE, facts.revision), told)) == model_files()
    assert any("HTTP 429" in reason for reason in reasons(told)), reasons(told)


def test_a_hub_that_stays_away_is_given_up_and_the_next_run_goes_on(
    hub: HubServer, models: Models, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.03)
    hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    hub.answer(SHARD, *[503] * download.TRIES)
    with pytest.raises(ModelError, match="HTTP 503"):
        outcome(models.ensure(SOURCE, facts.revision))
    assert visible(root) == []
    assert left_over(root), "what had arrived was thrown away"
    hub.asked.clear()
    assert contents_of(outcome(models.ensure(SOURCE, facts.revision))) == model_files()
    assert "config.json" not in hub.names(), "what had arrived was fetched again"
    assert left_over(root) == []


def test_a_file_that_cannot_be_had_stops_the_others_at_once(
    hub: HubServer, models: Models, root: Path
) -> None:
    hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    hub.hold(OTHER, after=20_000)
    hub.answer(SHARD, 418)
    began = time.monotonic()
    with pytest.raises(ModelError, match="HTTP 418"):
        outcome(models.ensure(SOURCE, facts.revision))
    assert time.monotonic() - began < 15, "it waited for the file that does not come"
    hub.release()
    until(lambda: None if _downloading() else True, "the workers end")
    for half in root.glob(f"*/*.part/files/{OTHER}"):
        assert half.stat().st_size < len(model_files()[OTHER]), "it was fetched on"


def test_an_abandoned_fetch_stops_and_lets_the_next_one_go_on(
    hub: HubServer, models: Models, root: Path
) -> None:
    hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    hub.hold(OTHER, after=20_000)
    flow = models.ensure(SOURCE, facts.revision)
    while not hub.held.is_set():
        next(flow)
    flow.close()
    hub.release()
    until(lambda: None if _downloading() else True, "the workers end")
    [half] = root.glob(f"*/*.part/files/{OTHER}")
    assert half.stat().st_size < len(model_files()[OTHER]), "it was fetched on"
    assert contents_of(outcome(models.ensure(SOURCE, facts.revision))) == model_files()


def _downloading() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("download")]


def test_content_that_is_not_the_commits_is_refused_and_fetched_anew(
    hub: HubServer, models: Models, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish("acme/tiny", model_files())
    facts = models.describe(SOURCE, None)
    honest = HubServer.stored
    wrong = model_files(seed=3)[SHARD]
    monkeypatch.setattr(HubServer, "stored", lambda *_: wrong)
    with pytest.raises(ModelError, match=f"arrived damaged.*{SHARD}"):
        outcome(models.ensure(SOURCE, facts.revision))
    assert visible(root) == []
    monkeypatch.setattr(HubServer, "stored", honest)
    assert contents_of(outcome(models.ensure(SOURCE, facts.revision))) == model_files()


@pytest.mark.parametrize(
    ("prepare", "message", "hint"),
    [
        ("missing", "hf://acme/tiny does not exist, or is private", "log in"),
        ("gated", "hf://acme/tiny is gated", "accept its terms"),
        ("revision", "has no revision 'nightly'", "name a commit"),
        ("token", "the hub refuses your token", "new token"),
        ("down", "could not be read from the hub (ConnectError)", "HF_ENDPOINT"),
        ("busy", "answers HTTP 503", "try again"),
        ("broken", "answers HTTP 418", ""),
        ("pickle", "it has pytorch_model.bin, which can run code", "only safetensors"),
        ("nothing", "has no config.json", ""),
        ("code", "brings code of its own (auto_map in config.json)", "auto_map"),
        ("escape", "a file whose name leads elsewhere: '../escape.json'", ""),
        ("unsized", "does not tell how long", ""),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(
    hub: HubServer,
    models: Models,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: str,
    message: str,
    hint: str,
) -> None:
    files = {
        "pickle": {"config.json": b"{}", "pytorch_model.bin": b"not opened"},
        "nothing": {"README.md": b"words"},
        "code": model_files() | {"config.json": json.dumps(CONFIG | {"auto_map": {}}).encode()},
        "escape": model_files() | {"../escape.json": b"{}"},
    }.get(prepare, model_files())
    if prepare != "missing":
        gated_for = "another-token" if prepare == "gated" else None
        hub.publish("acme/tiny", files, gated_for=gated_for)
    if prepare in ("token", "busy", "broken"):
        hub.answer("/api/models/", {"token": 403, "busy": 503, "broken": 418}[prepare])
    if prepare == "down":
        hub.close()
    if prepare == "unsized":
        monkeypatch.setattr("tests.support.hub._sibling", lambda name, _: {"rfilename": name})
    with pytest.raises(ModelError) as caught:
        models.describe(SOURCE, "nightly" if prepare == "revision" else None)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert TOKEN not in f"{caught.value.message} {caught.value.hint}"
    assert list(root.iterdir()) == [], "looking a model up wrote to the cache"


def test_the_clients_offline_switch_is_named(
    hub: HubServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    have(models, SOURCE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE keeps"):
        models.describe(SOURCE, None)
    assert models.describe(SOURCE, commit).download_bytes == 0


def test_without_the_hub_only_a_commit_that_is_here_can_be_described(
    hub: HubServer, models: Models
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    have(models, SOURCE)
    hub.close()
    assert models.describe(SOURCE, commit, offline=True).parameters == 2 * PARAMETERS
    assert models.describe(SOURCE, commit).parameters == 2 * PARAMETERS
    with pytest.raises(ModelError, match="cannot be resolved to a commit without the hub"):
        models.describe(SOURCE, "main", offline=True)
    with pytest.raises(ModelError, match="not on this machine, and the hub is not asked"):
        models.describe(SOURCE, "0" * 40, offline=True)


def test_what_arrives_whole_and_is_of_no_use_is_not_kept(
    hub: HubServer, models: Models, root: Path
) -> None:
    vocabulary = {"model": {"vocab": {"a": 0, "b": 99}}}
    hub.publish("acme/tiny", model_files() | {"tokenizer.json": json.dumps(vocabulary).encode()})
    facts = models.describe(SOURCE, None)
    with pytest.raises(ModelError, match="another model's tokenizer"):
        outcome(models.ensure(SOURCE, facts.revision))
    assert visible(root) == [] == left_over(root)


def test_a_hub_that_gives_another_commit_than_was_pinned_is_refused(
    hub: HubServer, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = hub.publish("acme/tiny", model_files())
    other = hub.publish("acme/tiny", model_files(seed=8))
    repository, _ = hub.find("acme/tiny", "main")
    monkeypatch.setattr(HubServer, "find", lambda *_: (repository, other))
    with pytest.raises(ModelError, match=f"was asked for {pinned}, and the hub gives {other}"):
        models.describe(SOURCE, pinned)


# The token


def test_the_token_opens_a_gated_model_and_goes_nowhere_else(
    hub: HubServer, models: Models, root: Path
) -> None:
    hub.publish("acme/tiny", model_files(), gated_for=TOKEN)
    directory = have(models, SOURCE)
    assert contents_of(directory) == model_files()
    storage = [asked for asked in hub.asked if asked.origin == "storage"]
    assert storage, "the weights did not come from the storage"
    assert {asked.authorization for asked in storage} == {""}
    assert {asked.authorization for asked in hub.asked if asked.origin == "hub"} == {
        f"Bearer {TOKEN}"
    }
    for name, content in contents_of(root).items():
        assert TOKEN.encode() not in content, f"{name} holds the token"


# The server that plays the hub


def test_the_clients_own_download_takes_the_server_for_a_hub(
    hub: HubServer, tmp_path: Path
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    for name in ("config.json", SHARD):
        path = hf_hub_download(
            "acme/tiny", name, revision=commit, cache_dir=tmp_path / "hf", token=False
        )
        assert Path(path).read_bytes() == model_files()[name]


def test_a_program_of_its_own_finds_the_hub_by_its_environment(
    hub: HubServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.publish("acme/tiny", model_files())
    for name, value in hub.environment.items():
        monkeypatch.setenv(name, value)
    code = (
        "import sys; from pathlib import Path; from serving.models import Models;"
        "print(Models(Path(sys.argv[1])).describe(sys.argv[2], None).revision)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), SOURCE], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == commit, done.stderr
