"""Accounts and the keys that may log in to them. None is ever taken away. Pure.

Keys are written by the account itself and not by root, so that what an account made of its own
folder can lead no write elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from bare_metal.hosts.facts import Account, HostFacts
from bare_metal.hosts.operations.model import Change, Desired, Kept, Said, known
from bare_metal.inventory import User

_AUTHORISE = """\
set -eu
umask 077
cd "$(getent passwd "$(id -u)" | cut -d : -f 6)"
mkdir -p .ssh
cat > .ssh/authorized_keys.llmops-new
if [ "$(sha256sum < .ssh/authorized_keys.llmops-new | cut -c 1-64)" != "$1" ]; then
  echo "the keys did not come whole" >&2
  exit 1
fi
sync .ssh/authorized_keys.llmops-new
mv -f .ssh/authorized_keys.llmops-new .ssh/authorized_keys
"""


def accounts(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """Accounts that are wanted, and their keys."""
    there = known(facts.accounts, "accounts") if want.system.users else {}
    for user in want.system.users:
        account = there.get(user.name)
        if account is None:
            argv = ("useradd", "--create-home", "--shell", "/bin/sh", user.name)
            yield Change(f"make the account {user.name}", argv)
        yield from _keys(user, account)


def _keys(user: User, account: Account | None) -> Iterator[Said]:
    lines = account.keys if account else ()
    held = {_key(line) for line in lines}
    missing = [key for key in user.keys if _key(key) not in held]
    if missing:
        data = "".join(f"{line}\n" for line in (*lines, *missing)).encode()
        digest = hashlib.sha256(data).hexdigest()
        yield Change(
            f"let {len(missing)} more key{'s' if len(missing) > 1 else ''} log in as {user.name}",
            ("runuser", "-u", user.name, "--", "sh", "-c", _AUTHORISE, "authorise", digest),
            data,
        )
    elif account is not None:
        yield Kept(f"{user.name} is there, with the keys that are wanted")


def _key(line: str) -> str:
    """The key itself of a line of `authorized_keys`, without options and comment."""
    words = line.split()
    types = [at for at, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))]
    return " ".join(words[types[0] : types[0] + 2]) if types else line
