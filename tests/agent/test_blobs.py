"""What every store promises: a folder, a bucket of a real S3 server on loopback, and memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from llmops.errors import InputError
from llmops.releases import Conflict
from serving.agent import StoreUnreachable, open_blobs
from serving.agent.blobs import NEW, Blobs
from serving.agent.bucket import BucketBlobs
from tests.agent.worlds import MemoryBlobs, error_of

SECRET = "canary-secret-5e0a"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def credentials(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["file", "s3", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "file":
        return open_blobs(f"file://{tmp_path}/store")
    request.getfixturevalue("credentials")
    bucket = f"b{abs(hash(tmp_path)):x}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return open_blobs(f"s3://{bucket}/team/chat")


def test_what_was_written_is_read_back(blobs: Blobs) -> None:
    assert blobs.get("agent/lease.json") is None
    version = blobs.put("agent/lease.json", b"one", NEW)
    found = blobs.get("agent/lease.json")
    assert found is not None
    assert (found.data, found.version) == (b"one", version)


def test_only_who_read_the_last_version_writes_the_next(blobs: Blobs) -> None:
    first = blobs.put("keys.json", b"one", NEW)
    second = blobs.put("keys.json", b"two", first)
    assert second != first
    with pytest.raises(Conflict):
        blobs.put("keys.json", b"three", first)
    with pytest.raises(Conflict):
        blobs.put("keys.json", b"three", NEW)
    found = blobs.get("keys.json")
    assert found is not None
    assert found.data == b"two"


def test_what_is_gone_is_not_replaced(blobs: Blobs) -> None:
    version = blobs.put("keys.json", b"one", NEW)
    blobs.remove("keys.json")
    blobs.remove("keys.json")
    with pytest.raises(Conflict):
        blobs.put("keys.json", b"two", version)
    assert blobs.get("keys.json") is None


def test_names_come_in_order_and_from_behind_one(blobs: Blobs) -> None:
    for number in (3, 1, 2, 10):
        blobs.put(f"events/chat/{number:08d}.json", b"e", NEW)
    blobs.put("events/chatter/00000001.json", b"e", NEW)
    listed = [name[-7:-5] for name in blobs.names("events/chat/")]
    assert listed == ["01", "02", "03", "10"]
    later = list(blobs.names("events/chat/", "events/chat/00000002.json"))
    assert [name[-7:-5] for name in later] == ["03", "10"]


def test_of_writers_at_once_one_creates(blobs: Blobs) -> None:
    won: list[int] = []
    gate = threading.Barrier(4)

    def write(number: int) -> None:
        gate.wait()
        try:
            blobs.put("orders/chat/00000001.json", f"of {number}".encode(), NEW)
        except Conflict:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = blobs.get("orders/chat/00000001.json")
    assert found is not None
    assert [f"of {n}".encode() for n in won] == [found.data]


@pytest.mark.parametrize("name", ["../keys.json", "/etc/x", "a//b", "a/..", "a b", "", "a/.x"])
def test_a_name_stays_below_its_store(blobs: Blobs, name: str) -> None:
    assert isinstance(error_of(blobs.get, name), InputError)


def test_a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses(credentials: None) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket="lost-answers")

    class Forgetful:
        """A client that tries again, because it did not hear the first answer."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def put_object(self, **asked: Any) -> Any:
            client.put_object(**asked)
            return client.put_object(**asked)

    blobs = BucketBlobs("lost-answers", "x", Forgetful())
    version = blobs.put("orders/chat/00000001.json", b"mine", NEW)
    blobs.put("orders/chat/00000001.json", b"mine again", version)
    with pytest.raises(Conflict):
        blobs.put("orders/chat/00000001.json", b"not mine", NEW)


def test_a_bucket_that_is_not_there_is_told(credentials: None) -> None:
    error = error_of(open_blobs("s3://never-made/x").put, "keys.json", b"", NEW)
    assert "there is no bucket never-made" in error.message


def test_a_server_that_does_not_answer_is_told_without_secrets(
    credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.config import Config

    quick = Config(connect_timeout=0.2, retries={"max_attempts": 0})
    client = boto3.client("s3", endpoint_url="http://127.0.0.1:9", config=quick)
    error = error_of(BucketBlobs("any", "x", client).get, "keys.json")
    assert isinstance(error, StoreUnreachable)
    assert SECRET not in str(error) + error.hint


@pytest.mark.parametrize(
    "url", ["", "s3://", "file://", "file://relative", "gs://b/x", "http://h/x", "s3://u:p@b/x"]
)
def test_what_is_no_store_is_refused(url: str) -> None:
    error = error_of(open_blobs, url)
    assert isinstance(error, InputError)
    assert "u:p" not in error.message


def test_a_folder_is_private(tmp_path: Path) -> None:
    open_blobs(f"file://{tmp_path}/store").put("a/keys.json", b"x", NEW)
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
    assert (tmp_path / "store/a/keys.json").stat().st_mode & 0o077 == 0
