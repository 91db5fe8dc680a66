"""Hosts over SSH, by asyncssh: pinned host keys, key login only, no agent forwarding.

The caller's `~/.ssh/config` is not read, so that what happens depends on the cluster file alone. A
command is a list of words, quoted here for the login shell of the other side; a text or a secret
goes through standard input and never through a word. Needs the extra `metal`.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from bare_metal.hosts.connection.answers import Files, HostGoneError, Ran, Talk, Writer
from bare_metal.hosts.connection.files import reading, taken_apart
from bare_metal.hosts.connection.pins import HostKey, called, pinned
from bare_metal.inventory import Access, Placed, resolved
from llmops.errors import InputError

CONNECT_SECONDS, LOGIN_SECONDS = 20, 60
KEEPALIVE_SECONDS, KEEPALIVES = 10, 3
ROOM_SECONDS, ROOM_TRIES = 0.25, 80
"""How often a session is asked for that sshd has no room for."""
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True, slots=True)
class SshConnector:
    """Hosts as `access` of a cluster file says that they are reached."""

    access: Access
    known_hosts: Path
    keys: tuple[asyncssh.SSHKey, ...] = ()
    """Keys to log in with; none means those of the agent and those that ssh takes by itself."""

    @asynccontextmanager
    async def reading(self, host: Placed) -> AsyncIterator[Writer]:
        """A connection to look."""
        async with self.writing(host) as session:
            yield session

    @asynccontextmanager
    async def writing(self, host: Placed) -> AsyncIterator[Writer]:
        """A connection to change something."""
        async with await self._connect(host) as connection:
            yield SshHost(connection, sudo=self.access.sudo)

    async def _connect(self, host: Placed) -> asyncssh.SSHClientConnection:
        access = self.access
        name = called(host.address, access.port)
        if name not in pinned(self.known_hosts):
            raise HostGoneError(
                f"its key is not in {self.known_hosts}, so it was not talked to",
                f"compare and pin it: llmops cluster hosts pin {host.name}",
            )
        try:
            return await asyncssh.connect(
                host.address, access.port, username=access.user, config=None,
                known_hosts=str(self.known_hosts), client_keys=list(self.keys) or (),
                agent_path=None if self.keys else (), agent_forwarding=False, x11_forwarding=False,
                preferred_auth="publickey", password=None, compression_algs=None,
                connect_timeout=CONNECT_SECONDS, login_timeout=LOGIN_SECONDS,
                ignore_encrypted=True, keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVES,
            )  # fmt: skip
        except asyncssh.HostKeyNotVerifiable as error:
            raise HostGoneError(
                "it shows another key than the pinned one, so it was not talked to",
                "find out why before you pin it anew: it was installed again, or it is another host"
                f" (llmops cluster hosts pin --replace {host.name})",
            ) from error
        except asyncssh.PermissionDenied as error:
            raise HostGoneError(
                f"it lets {access.user} in with none of the keys that were offered",
                "access.user and access.key say who logs in; the public key must be on the host",
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise HostGoneError(_why(error, host, access)) from error
        except ValueError as error:
            # asyncssh's only word for a line that it cannot read.
            raise InputError(
                f"{self.known_hosts}: expected the hosts' keys, found something else",
                hint="take the line out that is none, and pin the hosts anew",
            ) from error


def _why(error: OSError | asyncssh.Error, host: Placed, access: Access) -> str:
    where = f"{host.address} port {access.port}"
    if isinstance(error, TimeoutError):
        return f"{where} does not answer"
    return f"{where}: {_said(error)}"


def _said(error: OSError | asyncssh.Error) -> str:
    said = error.strerror if isinstance(error, OSError) else error.reason
    return said or "no reason was told"


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host that one is logged in to."""

    connection: asyncssh.SSHClientConnection
    sudo: bool = False

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        """Run a command that only looks."""
        return await self.change(argv, None, seconds=seconds)

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        """Read files."""
        return taken_apart(await self.run(reading(patterns), seconds=seconds))

    async def change(self, argv: Sequence[str], stdin: bytes | None, *, seconds: float) -> Ran:
        """Run a command that changes something."""
        began = time.time()
        try:
            async with asyncio.timeout(seconds):
                with _lost():
                    done = await self._run(self._line(argv), stdin or b"")
        except TimeoutError:
            return Ran(None, "", f"it did not end within {seconds:g} s", began, time.time())
        out, err = _text(done.stdout), _text(done.stderr)
        if done.exit_status is None or done.exit_status < 0:
            return Ran(None, out, err or "a signal ended it", began, time.time())
        return Ran(done.exit_status, out, err, began, time.time())

    @asynccontextmanager
    async def talk(self, argv: Sequence[str]) -> AsyncIterator[Talk]:
        """A command that goes on."""
        with _lost():
            process = await self.connection.create_process(self._line(argv), encoding=None)
        try:
            yield SshTalk(process)
        finally:
            process.close()

    def _line(self, argv: Sequence[str]) -> str:
        words = ["env", "LC_ALL=C", *argv]
        return shlex.join(["sudo", "-n", "--", *words] if self.sudo else words)

    async def _run(self, line: str, stdin: bytes) -> asyncssh.SSHCompletedProcess:
        """Run it once sshd has room for it: sessions that have ended count among the ten that it
        takes on a connection (MaxSessions) until it has noticed, which on a busy host is late."""
        left = ROOM_TRIES
        while True:
            try:
                return await self.connection.run(line, input=stdin, encoding=None, check=False)
            except asyncssh.ChannelOpenError:  # so nothing of it was begun
                left -= 1
                if not left or self.connection.is_closed():
                    raise
            await asyncio.sleep(ROOM_SECONDS)


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except (OSError, asyncssh.Error) as error:
        raise HostGoneError(
            f"the connection was lost while a command ran: {_said(error)}"
        ) from error


@dataclass(frozen=True, slots=True)
class SshTalk:
    """A command on a host that goes on."""

    process: asyncssh.SSHClientProcess[bytes]

    async def say(self, text: bytes) -> None:
        """Hand it some more."""
        with _lost():
            self.process.stdin.write(text)
            await self.process.stdin.drain()

    async def hear(self) -> str:
        """Its next line."""
        with _lost():
            return _text(await self.process.stdout.readline()).rstrip("\n")

    async def ended(self) -> Ran:
        """What it came to."""
        with _lost():
            self.process.stdin.write_eof()
            done = await self.process.wait()
        return Ran(done.exit_status, _text(done.stdout), _text(done.stderr))


def _text(data: bytes | str | None) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""


def open_ssh(access: Access, folder: Path) -> SshConnector:
    """The connector for a cluster file in `folder`.

    Raises:
        InputError: When the key that `access` refers to cannot be had.
    """
    keys: tuple[asyncssh.SSHKey, ...] = ()
    if access.key is not None:
        text = resolved(access.key, folder)
        try:
            keys = (asyncssh.import_private_key(text),)
        except asyncssh.KeyEncryptionError as error:
            raise InputError(
                f"{access.key}: the key is locked by a passphrase",
                hint="add it to your SSH agent and leave access.key out",
            ) from error
        except ValueError as error:  # KeyImportError is one, and so is what base64 says
            raise InputError(
                f"{access.key}: expected a private key, found something else",
                hint="it is the file beside the one that ends in .pub",
            ) from error
    return SshConnector(access, folder / access.known_hosts, keys)


async def first_contact(host: Placed, access: Access) -> HostKey:
    """The key that a host shows. Nobody is logged in.

    Raises:
        HostGoneError: When it shows none.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            key = await asyncssh.get_server_host_key(
                host.address, access.port, config=None, server_host_key_algs=KEY_TYPES
            )
    except (OSError, asyncssh.Error) as error:
        raise HostGoneError(_why(error, host, access)) from error
    if key is None:
        raise HostGoneError(f"{host.address} port {access.port} shows no key")
    line = key.export_public_key("openssh").decode().split()
    return HostKey(" ".join(line[:2]), key.get_fingerprint())
