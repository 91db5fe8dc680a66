"""`s3://` against a real server of that protocol on loopback (moto); `gs://` is the same code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from llmops.errors import ModelError
from llmops.events import Event
from serving.models import Models, buckets, download
from serving.models.buckets import Bucket
from serving.models.source import parse
from tests.models.making import (
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
from tests.support.buckets import empty_bucket, s3_server

SOURCE = "s3://weights/team/tiny"
SHARD = "model-00001-of-00002.safetensors"
SECRET = "canary-secret-91c0"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a store."""
    with s3_server() as address:
        yield address


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A client of an empty store, which fsspec finds by the environment."""
    with empty_bucket(server, "weights", SECRET, monkeypatch, tmp_path) as client:
        yield client


def put(store: Any, files: Mapping[str, bytes], prefix: str = "team/tiny/") -> None:
    """Put objects below a prefix."""
    for name, content in files.items():
        store.put_object(Bucket="weights", Key=prefix + name, Body=content)


def test_a_model_below_a_prefix_is_described_and_had(store: Any, models: Models) -> None:
    put(store, model_files())
    put(store, {"config.json": b"{}"}, prefix="team/tiny-other/")
    facts = models.describe(SOURCE, None)
    assert facts.parameters == 2 * PARAMETERS
    assert facts.download_bytes == sum(map(len, model_files().values()))
    assert facts.chat_template
    told: list[Event] = []
    directory = outcome(models.ensure(SOURCE, facts.revision), told)
    assert contents_of(directory) == model_files()
    assert models.verified(SOURCE, facts.revision) == directory
    assert any(reason.startswith(f"fetching {SOURCE}") for reason in reasons(told))
    assert models.describe(SOURCE, None).download_bytes == 0
    assert models.describe(f"{SOURCE}/", None).parameters == facts.parameters


def test_a_card_beside_the_model_says_its_licence(store: Any, models: Models) -> None:
    put(store, model_files())
    assert models.describe(SOURCE, None).licence == ""
    put(store, {"README.md": b"---\nlicense: MIT\n---\n"})
    assert models.describe(SOURCE, None).licence == "mit"
    assert contents_of(have(models, SOURCE)) == model_files()


def test_a_pickle_is_never_fetched(store: Any, models: Models, tmp_path: Path) -> None:
    canary = Canary(tmp_path / "sang")
    put(store, model_files() | {"pytorch_model.bin": canary.pickled(), "x/config.py": b""})
    assert contents_of(have(models, SOURCE)) == model_files()
    assert not canary.sang


def test_another_content_is_another_revision(store: Any, models: Models, root: Path) -> None:
    put(store, model_files())
    first = models.describe(SOURCE, None).revision
    put(store, {SHARD: model_files(seed=3)[SHARD]})
    assert models.describe(SOURCE, None).revision != first
    with pytest.raises(ModelError, match="has changed since it was looked up"):
        outcome(models.ensure(SOURCE, first))
    assert visible(root) == []


def test_what_changes_while_it_is_fetched_is_refused(
    store: Any, models: Models, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "CHUNK", 10_000)
    put(store, model_files())
    facts = models.describe(SOURCE, None)
    read = Bucket.read

    def changing(self: Bucket, name: str, offset: int, length: int) -> bytes:
        if name == SHARD and offset == 50_000:
            put(store, {SHARD: model_files(seed=3)[SHARD]})
        return read(self, name, offset, length)

    monkeypatch.setattr(Bucket, "read", changing)
    with pytest.raises(ModelError, match="was changed while it was fetched"):
        outcome(models.ensure(SOURCE, facts.revision))
    assert visible(root) == []
    monkeypatch.setattr(Bucket, "read", read)
    directory = have(models, SOURCE)
    assert contents_of(directory)[SHARD] == model_files(seed=3)[SHARD]
    assert left_over(root) == [], "the part of the older listing is still there"


def test_a_broken_read_is_taken_up_where_it_broke(
    store: Any, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "CHUNK", 10_000)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    put(store, model_files())
    facts = models.describe(SOURCE, None)
    system = fsspec.filesystem("s3")
    asked: list[int] = []
    cat_file = system.cat_file

    def breaking(path: str, start: int, end: int) -> bytes:
        if path.endswith(SHARD):
            asked.append(start)
            if asked.count(50_000) == 1 and start == 50_000:
                raise ConnectionResetError("by the test")
        content: bytes = cat_file(path, start=start, end=end)
        return content

    monkeypatch.setattr(system, "cat_file", breaking)
    assert contents_of(outcome(models.ensure(SOURCE, facts.revision))) == model_files()
    assert asked == sorted(asked), "it began anew"
    assert asked.count(50_000) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no model: nothing is below it"),
        ({"config.json": b"{}"}, "has no safetensors"),
        ({"config.json": b"{}", "model.ckpt": b""}, "it has model.ckpt, which can run code"),
        ({"../../escape.json": b"{}"}, "a file whose name leads elsewhere"),
        ({SHARD: b"short"}, "has no config.json"),
    ],
)
def test_what_is_no_model_is_refused(
    store: Any, models: Models, files: dict[str, bytes], message: str
) -> None:
    put(store, files)
    with pytest.raises(ModelError) as caught:
        models.describe(SOURCE, None)
    assert message in caught.value.message


def test_a_missing_bucket_is_told(store: Any, models: Models) -> None:
    with pytest.raises(ModelError, match="nowhere/x does not exist") as caught:
        models.describe("s3://nowhere/x", None)
    assert "check the bucket" in caught.value.hint


def test_missing_credentials_are_told_without_any(
    store: Any, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, model_files())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(ModelError, match="may not be read with the credentials") as caught:
        models.describe(SOURCE, None)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_a_store_that_cannot_be_reached_is_told(
    store: Any, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)
    with pytest.raises(ModelError, match="could not be read") as caught:
        models.describe(SOURCE, None)
    assert "check the network" in caught.value.hint


def test_the_secret_is_nowhere_in_the_cache(store: Any, models: Models, root: Path) -> None:
    put(store, model_files())
    have(models, SOURCE)
    for name, content in contents_of(root).items():
        assert SECRET.encode() not in content, f"{name} holds the secret"


def test_a_scheme_whose_package_is_missing_names_the_extra(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_protocol: str) -> Any:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(ModelError, match="gs:// needs a package that is not installed") as caught:
        models.describe("gs://weights/tiny", None)
    assert caught.value.hint == "pip install 'llmops[gcs]'"


class Remembering(MemoryFileSystem):  # type: ignore[misc]
    """A file system that remembers a listing until it is told to forget, as some stores' do."""

    protocol = "remembering"
    remembered: ClassVar[dict[str, Any]] = {}

    def find(self, path: str, **options: Any) -> Any:
        if path not in self.remembered:
            self.remembered[path] = super().find(path, **options)
        return self.remembered[path]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.remembered.clear()


def test_a_listing_is_never_an_old_one() -> None:
    system = Remembering()
    for name, content in model_files().items():
        system.pipe_file(f"/weights/tiny/{name}", content)
    try:
        first = Bucket(parse("gs://weights/tiny"), system).revision
        system.pipe_file(f"/weights/tiny/{SHARD}", model_files(seed=3)[SHARD])
        assert Bucket(parse("gs://weights/tiny"), system).revision != first
    finally:
        system.rm("/weights", recursive=True)


def test_any_store_of_fsspec_will_do() -> None:
    system = fsspec.filesystem("memory")
    for name, content in model_files().items():
        system.pipe_file(f"/weights/tiny/{name}", content)
    try:
        bucket = Bucket(parse("gs://weights/tiny"), system)
        _, weights, _ = bucket.describe()
        assert weights.parameters == 2 * PARAMETERS
        first = bucket.revision
        system.pipe_file("/weights/tiny/config.json", model_files()["config.json"])
        assert Bucket(parse("gs://weights/tiny"), system).revision != first
    finally:
        system.rm("/weights", recursive=True)
