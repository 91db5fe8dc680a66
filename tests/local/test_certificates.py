"""The endpoint's certificate: refused before a start, told of in time, trusted by own commands."""

from __future__ import annotations

import http.server
import ssl
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.errors import InputError
from serving.local.authority import AUTHORITY_DAYS, SERVER_DAYS, DevelopmentAuthority, Issued
from serving.local.certificates import (
    DAY,
    Certificate,
    check_certificate,
    expiry_notes,
    read_certificate,
)
from serving.local.door import Door
from serving.local.issuing import make_authority, make_server

NOW = time.time()
HERE = ("localhost", "127.0.0.1", "::1")


def issue(home: Path, *names: str, now: float = NOW, renew: bool = False) -> Issued:
    return DevelopmentAuthority(home, now).issue(names, renew=renew)


def written(folder: Path, names: tuple[str, ...], days: int = 90, now: float = NOW) -> Issued:
    """A certificate of a company's own authority, which nobody here knows."""
    cert, key = folder / "own.pem", folder / "own-key.pem"
    made = make_server(make_authority(now, days), names, now, days)
    for path, content in ((cert, made[0]), (key, made[1])):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return Issued(folder / "none.pem", cert, key, names, now + days * DAY, made=True)


def test_a_certificate_is_for_this_machine_and_the_given_names(tmp_path: Path) -> None:
    issued = issue(tmp_path, "LLM.example.com", "192.0.2.7", "*.llm.example.com")
    found = read_certificate(issued.cert)
    wanted = {*HERE, "llm.example.com", "192.0.2.7", "*.llm.example.com"}
    assert set(found.names) == set(issued.names) == wanted
    assert issued.ends_at == found.ends_at
    assert found.ends_at - NOW == pytest.approx(SERVER_DAYS * DAY, abs=301)
    assert check_certificate(issued.cert, issued.key, NOW) == ()


def test_its_files_are_the_users_alone(tmp_path: Path) -> None:
    issued = issue(tmp_path)
    assert stat.S_IMODE(issued.cert.parent.stat().st_mode) == 0o700
    files = list(issued.cert.parent.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    names = {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"}
    assert {file.name for file in files} == names


def test_the_second_time_nothing_is_made(tmp_path: Path) -> None:
    first = issue(tmp_path, "llm.example.com")
    before = {file.name: file.read_bytes() for file in first.cert.parent.iterdir()}
    second = issue(tmp_path)
    assert (first.made, second.made) == (True, False)
    assert {file.name: file.read_bytes() for file in first.cert.parent.iterdir()} == before


def test_another_name_is_added_and_the_authority_stays(tmp_path: Path) -> None:
    first = issue(tmp_path, "a.example.com")
    authority = first.authority.read_bytes()
    second = issue(tmp_path, "b.example.com")
    assert second.made
    assert {*HERE, "a.example.com", "b.example.com"} == set(read_certificate(second.cert).names)
    assert second.authority.read_bytes() == authority


def test_it_is_renewed_when_asked_and_when_it_ends_soon(tmp_path: Path) -> None:
    first = issue(tmp_path).cert.read_bytes()
    assert issue(tmp_path, renew=True).cert.read_bytes() != first
    soon = NOW + (SERVER_DAYS - 13) * DAY
    assert issue(tmp_path, now=soon).made
    assert not issue(tmp_path, now=soon).made


def test_a_pair_of_which_one_half_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    issued = issue(tmp_path)
    (issued.cert.parent / f"{issued.cert.name}.new").mkdir()
    with pytest.raises(IsADirectoryError):
        issue(tmp_path, renew=True)
    assert check_certificate(issued.cert, issued.key, NOW) == ()


def test_an_authority_that_would_not_outlive_it_is_made_anew(tmp_path: Path) -> None:
    first = issue(tmp_path).authority.read_bytes()
    late = NOW + (AUTHORITY_DAYS - SERVER_DAYS + 1) * DAY
    assert issue(tmp_path, now=late).authority.read_bytes() != first


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "-a", "a..b", "é.example", "a" * 64, "http://x", "x:80", "*", "a.*.b"]
)
def test_a_name_that_no_host_has_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no name or address of a host"):
        issue(tmp_path, name)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (0.0, []),
        (75.9, []),
        (76.5, ["expires in 13 days"]),
        (89.5, ["expires in 0 days"]),
        (91.0, ["expired on"]),
    ],
)
def test_a_certificate_is_told_of_fourteen_days_before_its_end(
    tmp_path: Path, later: float, said: list[str]
) -> None:
    issued = written(tmp_path, HERE, days=90)
    notes = expiry_notes(issued.cert, read_certificate(issued.cert), NOW + later * DAY)
    assert len(notes) == len(said)
    for words, note in zip(said, notes, strict=True):
        assert words in note
        assert str(issued.cert) in note
    assert Door("127.0.0.1", 1, issued.cert).notes({}, NOW + later * DAY) == notes


def test_what_the_gateway_could_not_take_over_is_told(tmp_path: Path) -> None:
    issued = issue(tmp_path)
    door = Door("127.0.0.1", 1, issued.cert)
    assert door.notes({"tls": {"error": ""}}) == ()
    assert "no match" in door.notes({"tls": {"error": "no match"}})[0]
    issued.cert.unlink()
    assert "gone" in door.notes({"tls": {"error": "gone"}})[0]


@pytest.mark.parametrize("later", [-1.0, 91.0])
def test_a_certificate_that_is_not_valid_now_is_refused(tmp_path: Path, later: float) -> None:
    issued = written(tmp_path, HERE, days=90)
    with pytest.raises(InputError, match=r"expired|not valid before") as caught:
        check_certificate(issued.cert, issued.key, NOW + later * DAY)
    assert caught.value.path == "target.tls.cert"


def test_a_key_that_others_could_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    issued = issue(tmp_path)
    issued.key.chmod(0o640)
    with pytest.raises(InputError, match="can be read by others") as caught:
        check_certificate(issued.cert, issued.key, NOW)
    assert f"chmod 600 {issued.key}" in caught.value.hint


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file") as caught:
        check_certificate(tmp_path / "no.pem", tmp_path / "no-key.pem", NOW)
    assert caught.value.path == "target.tls.cert"


@given(st.binary(max_size=300))
def test_what_is_no_certificate_is_told_as_that(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        with pytest.raises(InputError, match="holds no certificate"):
            read_certificate(Path(file.name))


@pytest.mark.parametrize(
    ("names", "host", "url"),
    [
        (HERE, "127.0.0.1", "https://127.0.0.1:8443/v1"),
        (HERE, "localhost", "https://localhost:8443/v1"),
        (HERE, "::1", "https://[::1]:8443/v1"),
        (HERE, "0.0.0.0", "https://127.0.0.1:8443/v1"),
        (HERE, "::", "https://[::1]:8443/v1"),
        (("llm.example.com",), "0.0.0.0", "https://llm.example.com:8443/v1"),
        (("*.a.com", "llm.a.com"), "192.0.2.7", "https://llm.a.com:8443/v1"),
        (("192.0.2.7",), "192.0.2.7", "https://192.0.2.7:8443/v1"),
    ],
)
def test_clients_are_told_a_name_that_the_certificate_is_for(
    tmp_path: Path, names: tuple[str, ...], host: str, url: str
) -> None:
    assert Door(host, 8443, written(tmp_path, names).cert).url == url


def test_without_tls_the_url_is_the_address() -> None:
    assert Door("127.0.0.1", 8000).url == "http://127.0.0.1:8000/v1"
    assert Door("::1", 8000).url == "http://[::1]:8000/v1"
    assert Door.of({"host": "127.0.0.1", "port": 8000}).cert is None, "an older host's record"


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        pass


@contextmanager
def server(issued: Issued) -> Iterator[int]:
    """Something that speaks TLS with these files, on a loopback port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made.server_address[1]
    finally:
        made.shutdown()
        made.server_close()
        thread.join(5)


def asked(door: Door, home: Path) -> int:
    url, line = door.reach(home)
    with httpx.Client(trust_env=False, verify=line.verify, timeout=5) as client:
        return client.get(url, extensions=line.extensions).status_code


@pytest.mark.parametrize("names", [HERE, ("llm.example.com",), ("*.example.com",)])
def test_own_commands_trust_the_certificate_that_the_spec_names(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    issued = written(tmp_path, names)
    with server(issued) as port:
        assert asked(Door("127.0.0.1", port, issued.cert), tmp_path) == 200


def test_own_commands_trust_the_authority_for_development_through_a_renewal(
    tmp_path: Path,
) -> None:
    issued = issue(tmp_path)
    with server(issued) as port:
        issue(tmp_path, renew=True)  # the server goes on with the one before
        assert asked(Door("127.0.0.1", port, issued.cert), tmp_path) == 200


def test_own_commands_trust_no_other_server(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    ours = written(tmp_path, HERE)
    with server(written(stranger, HERE)) as port, pytest.raises(httpx.ConnectError, match="verify"):
        asked(Door("127.0.0.1", port, ours.cert), tmp_path)


def test_a_certificate_for_nobody_is_refused(tmp_path: Path) -> None:
    issued = written(tmp_path, ())
    with pytest.raises(InputError, match="names no host"):
        check_certificate(issued.cert, issued.key, NOW)
    assert Certificate((), 0, 1).name_for("127.0.0.1") == "127.0.0.1"
