"""What an image is called: `registry/repository:tag@digest`, with the usual things left out.

Pure. A name without a registry is the Docker Hub's, as every builder and node reads it. Refuses
what a node would refuse later: upper case in a repository, other digests than SHA-256.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from llmops.errors import InputError

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"
"""Where the Docker Hub's API answers; its images are named by `docker.io`."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MOST = 255
"""Characters of a repository's name, with its registry, that registries agree on."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of one image. `tag` and `digest` may be empty; both empty never."""

    registry: str
    """Host, with a port when it has one: `docker.io`, `registry.example.com:5000`."""
    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """The image without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def host(self) -> str:
        """Where its registry's API answers."""
        return HUB_HOST if self.registry == HUB else self.registry

    @property
    def wanted(self) -> str:
        """What the registry is asked for: the digest, which cannot be moved, before the tag."""
        return self.digest or self.tag

    @property
    def local(self) -> bool:
        """Whether the registry is on this machine's loopback, where no TLS is needed."""
        return on_loopback(self.registry)


def on_loopback(host: str) -> bool:
    """Whether a host, with or without a port, can only be this machine itself."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    if name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_reference(text: str) -> Reference:
    """Read the name of an image; without tag and digest it is the tag `latest`.

    Raises:
        InputError: When no registry could know such a name.
    """
    rest, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise _wrong(text, "the digest is not sha256: and 64 hexadecimal digits")
    name, tag = _tagged(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _wrong(
            text, "the tag is empty or has other characters than letters, digits, '_', '.' and '-'"
        )
    registry, repository = _placed(name)
    if not _REPOSITORY.fullmatch(repository):
        raise _wrong(text, "the repository is not lower-case words between slashes")
    if len(registry) + len(repository) >= _MOST:
        raise _wrong(text, f"it is longer than {_MOST} characters")
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)


def _tagged(text: str) -> tuple[str, str | None]:
    """A name, and the tag behind it; a colon before the last slash belongs to a port."""
    before, slash, last = text.rpartition("/")
    name, colon, tag = last.partition(":")
    return before + slash + name, tag if colon else None


def _placed(name: str) -> tuple[str, str]:
    """Registry and repository. A first part is a host when it has a dot or a port."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if not _HOST.fullmatch(first):
            raise _wrong(name, "the registry is not a host name")
        return (HUB if first in ("index.docker.io", HUB_HOST) else first), _official(first, rest)
    return HUB, _official(HUB, name)


def _official(registry: str, repository: str) -> str:
    hub = registry in (HUB, HUB_HOST, "index.docker.io")
    return f"library/{repository}" if hub and "/" not in repository else repository


def _wrong(text: str, why: str) -> InputError:
    return InputError(
        f"'{text[:200]}' is not the name of an image: {why}",
        hint="name it like registry.example.com/team/llmops@sha256:<64 digits>",
    )
