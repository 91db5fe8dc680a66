"""Who may talk to the API server, and the kubeconfig files that say so.

The API server reads its token file when it starts, so a number of users without any right lie
ready in it; a test takes a fresh one and gives it what it needs.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.certificates import Pair

SPARE = 400
"""Users that lie ready."""


@dataclass(frozen=True)
class User:
    """A user that a bearer token stands for."""

    name: str
    token: str
    group: str = ""


def make_users() -> tuple[User, list[User]]:
    """The administrator, and the users without any right."""
    admin = User("admin", secrets.token_hex(16), "system:masters")
    return admin, [User(f"user-{at:03}", secrets.token_hex(16)) for at in range(SPARE)]


def write_tokens(path: Path, users: list[User]) -> None:
    """The API server's token file."""
    path.touch(mode=0o600)
    lines = [f'{user.token},{user.name},{user.name},"{user.group}"\n' for user in users]
    path.write_text("".join(lines))


def kubeconfig(
    server: str, authority: Path, credentials: User | Pair, *, namespace: str, context: str
) -> str:
    """A kubeconfig with one context, as YAML."""
    cluster = {"server": server, "certificate-authority": str(authority)}
    chosen = {"cluster": "tests", "user": "tests", "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": _credentials(credentials)}],
        "contexts": [{"name": context, "context": chosen}],
        "current-context": context,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _credentials(credentials: User | Pair) -> dict[str, Any]:
    if isinstance(credentials, User):
        return {"token": credentials.token}
    return {
        "client-certificate": str(credentials.certificate),
        "client-key": str(credentials.key),
    }
