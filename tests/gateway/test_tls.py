"""The endpoint over TLS: renewed while connections are open, and only by a pair that can be used.

The server is the real one: uvicorn, as the runtime configures it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from llmops.errors import InputError
from serving.gateway import ServerTls, gateway_server
from serving.gateway.server import HEAD_DEADLINE
from serving.local.issuing import Pair, make_authority, make_server
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import DEADLINE, DONE, USAGE_EVENT, FakeUpstream, Gate, Piece, token

NewLoop = Callable[[], asyncio.AbstractEventLoop]

STREAMS = 24
NAMES = ("localhost", "127.0.0.1")


class Authority:
    """Writes certificates of one authority to one place."""

    def __init__(self, home: Path) -> None:
        self.pair = make_authority(time.time(), 30)
        self.cert, self.key = home / "server.pem", home / "server-key.pem"
        self.renew()

    def make(self) -> Pair:
        return make_server(self.pair, NAMES, time.time(), 9)

    def renew(self) -> bytes:
        """Write another pair; the certificate."""
        made = self.make()
        write(self.cert, made[0])
        write(self.key, made[1])
        return made[0]

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.pair[0].decode())


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file, as those do who renew certificates."""
    whole = path.with_suffix(".new")
    whole.write_bytes(content)
    whole.chmod(mode)
    whole.replace(path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls(authority: Authority) -> ServerTls:
    return ServerTls(authority.cert, authority.key)


class Stepped(FakeUpstream):
    """Streams that go on by one token each time they are let."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = [asyncio.Event() for _ in range(steps)]

    def let(self, step: int) -> None:
        self._steps[step].set()

    async def _body(self, pieces: list[Piece]) -> AsyncGenerator[bytes, None]:
        yield token("first")
        for number, step in enumerate(self._steps):
            await step.wait()
            yield token(f"t{number}")
        yield USAGE_EVENT
        yield DONE


@contextlib.asynccontextmanager
async def serve(
    gate: Gate, tls: ServerTls, head_deadline: float = HEAD_DEADLINE
) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = gateway_server(gate.app, tls=tls.context, head_deadline=head_deadline)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await asyncio.wait_for(running, DEADLINE)
        listener.close()


async def shown(port: int, context: ssl.SSLContext) -> bytes:
    """Digest of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return hashlib.sha256(found).digest()


def digest(pem: bytes) -> bytes:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()


async def stream(client: httpx.AsyncClient, key: str, begun: Callable[[], None]) -> str:
    body = {"model": "tiny", "prompt": "hi", "stream": True, "max_tokens": 9}
    headers = {"authorization": f"Bearer {key}"}
    text = ""
    async with client.stream("POST", "/v1/completions", json=body, headers=headers) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            if not text:
                begun()
            text += piece
    return text


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_renewing_drops_no_stream_and_new_connections_see_the_new_certificate(
    make_gate: MakesGate, authority: Authority, tls: ServerTls, loop: NewLoop
) -> None:
    """On either loop: Ray Serve takes uvloop where it is installed."""
    with asyncio.Runner(loop_factory=loop) as runner:
        upstream = Stepped(3)
        runner.run(_renewed_amid_streams(make_gate(upstream), upstream, authority, tls))


async def _renewed_amid_streams(
    gate: Gate, upstream: Stepped, authority: Authority, tls: ServerTls
) -> None:
    async with serve(gate, tls) as port:
        first = await shown(port, authority.client())
        assert first == digest(authority.cert.read_bytes())
        begun = asyncio.Semaphore(0)
        base = f"https://127.0.0.1:{port}"
        limits = httpx.Limits(max_connections=2 * STREAMS)
        async with httpx.AsyncClient(
            base_url=base, verify=authority.client(), timeout=DEADLINE, limits=limits
        ) as client:
            streams = [
                asyncio.create_task(stream(client, gate.key, begun.release)) for _ in range(STREAMS)
            ]
            for _ in range(STREAMS):
                await asyncio.wait_for(begun.acquire(), DEADLINE)
            seen = {first}
            for step in range(3):
                renewed = authority.renew()
                assert tls.look(), "the renewed pair was not taken"
                now = await shown(port, authority.client())
                assert now == digest(renewed)
                seen.add(now)
                upstream.let(step)
                await asyncio.sleep(0)
            texts = await asyncio.gather(*streams)
        assert len(seen) == 4
    for text in texts:
        assert text.endswith("data: [DONE]\n\n"), "a stream was cut"
        assert [f'"t{number}"' in text for number in range(3)] == [True] * 3
    assert upstream.stopped == 0
    assert {line["reason"] for line in gate.lines()} == {"ok"}


async def test_an_idle_connection_outlives_a_renewal(
    make_gate: MakesGate, authority: Authority, tls: ServerTls
) -> None:
    gate = make_gate()
    headers = {"authorization": f"Bearer {gate.key}"}
    async with serve(gate, tls) as port:
        base = f"https://localhost:{port}"
        async with httpx.AsyncClient(base_url=base, verify=authority.client()) as client:
            streams = []
            for _ in range(2):
                answer = await client.get("/v1/models", headers=headers)
                assert answer.status_code == 200
                streams.append(answer.extensions["network_stream"].get_extra_info("ssl_object"))
                authority.renew()
                assert tls.look()
            assert streams[0] is streams[1], "the client had to connect anew"


Break = Callable[[Authority], None]


def other_key(authority: Authority) -> None:
    write(authority.key, authority.make()[1])


def other_cert(authority: Authority) -> None:
    write(authority.cert, authority.make()[0])


def damaged(authority: Authority) -> None:
    write(authority.cert, authority.cert.read_bytes()[:-60])


def empty(authority: Authority) -> None:
    write(authority.key, b"")


def open_to_others(authority: Authority) -> None:
    made = authority.make()
    write(authority.cert, made[0])
    write(authority.key, made[1], 0o644)


def gone(authority: Authority) -> None:
    authority.cert.unlink()


def locked(authority: Authority) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(authority.key.read_bytes(), None)
    secret = BestAvailableEncryption(b"x")
    write(authority.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))


BREAKS = [
    (other_key, "cannot be used together"),
    (other_cert, "cannot be used together"),
    (damaged, "cannot be used together"),
    (empty, "cannot be used together"),
    (locked, "cannot be used together"),
    (open_to_others, "can be read by others"),
    (gone, "cannot be read: No such file"),
]


@pytest.mark.parametrize(
    ("spoil", "said"), BREAKS, ids=lambda value: getattr(value, "__name__", "")
)
async def test_a_pair_that_cannot_be_used_leaves_the_old_one_and_is_told(
    make_gate: MakesGate, authority: Authority, tls: ServerTls, spoil: Break, said: str
) -> None:
    gate = make_gate()
    async with serve(gate, tls) as port:
        before = await shown(port, authority.client())
        spoil(authority)
        for _ in range(2):
            assert not tls.look()
            assert said in tls.state()["error"]
            assert await shown(port, authority.client()) == before
        renewed = authority.renew()
        assert tls.look(), "it did not recover"
        assert tls.state()["error"] == ""
        assert await shown(port, authority.client()) == digest(renewed)


@pytest.mark.parametrize(
    ("spoil", "said"), BREAKS, ids=lambda value: getattr(value, "__name__", "")
)
def test_an_endpoint_does_not_start_with_a_pair_that_cannot_be_used(
    authority: Authority, spoil: Break, said: str
) -> None:
    spoil(authority)
    with pytest.raises(InputError, match=said) as caught:
        ServerTls(authority.cert, authority.key)
    assert caught.value.hint
    assert caught.value.path.startswith("target.tls")
    assert b"PRIVATE" not in caught.value.message.encode()


def test_a_key_and_a_certificate_written_one_after_the_other_are_taken_when_both_are_there(
    authority: Authority, tls: ServerTls
) -> None:
    made = authority.make()
    write(authority.key, made[1])
    assert not tls.look()
    write(authority.cert, made[0])
    assert tls.look()
    assert tls.state()["error"] == ""


def test_what_has_not_changed_is_not_read_again(
    authority: Authority, tls: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.gateway.tls.read_pair", lambda *_: pytest.fail("it was read"))
    assert not tls.look()


def test_files_that_say_the_same_again_are_no_other_pair(
    authority: Authority, tls: ServerTls
) -> None:
    write(authority.cert, authority.cert.read_bytes())
    assert not tls.look()


def test_a_key_that_is_a_link_to_a_private_file_is_taken_and_followed(
    authority: Authority, tmp_path: Path
) -> None:
    """As certbot lays them out: a link to the newest of several files."""
    live = tmp_path / "live"
    live.mkdir()
    for file in (authority.cert, authority.key):
        (live / file.name).symlink_to(file)
    linked = ServerTls(live / authority.cert.name, live / authority.key.name)
    authority.renew()
    assert linked.look()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_only_tls_of_today_is_spoken(
    make_gate: MakesGate, authority: Authority, tls: ServerTls
) -> None:
    async def version(**options: Any) -> str:
        context = authority.client()
        for name, value in options.items():
            setattr(context, name, value)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        found: str = writer.get_extra_info("ssl_object").version()
        writer.close()
        return found

    async with serve(make_gate(), tls) as port:
        assert await version() == "TLSv1.3"
        assert await version(maximum_version=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await version(
                minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1
            )
        async with httpx.AsyncClient(timeout=DEADLINE) as plain:
            with pytest.raises(httpx.HTTPError):
                await plain.get(f"http://127.0.0.1:{port}/health")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01"])
async def test_a_handshake_that_never_ends_is_not_waited_for(
    make_gate: MakesGate, authority: Authority, tls: ServerTls, said: bytes
) -> None:
    async with serve(make_gate(), tls, head_deadline=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                while await reader.read(100):
                    pass
        writer.close()
        assert await shown(port, authority.client())


def test_no_key_is_left_on_a_disk(authority: Authority, tls: ServerTls, tmp_path: Path) -> None:
    key = authority.key.read_bytes()
    held = [path for path in tmp_path.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert held == [authority.key]
    open_files = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    names = [str(link.readlink()) for link in open_files]
    assert not [name for name in names if "llmops-tls" in name], "it is still in memory files"
