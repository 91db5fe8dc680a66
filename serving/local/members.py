"""What should run on this machine's runtime: every release, and its share of new requests.

One file beside the releases' records. It is what Serve's config is rendered from, so a runtime
that was lost (a reboot, a killed host) is put back whole. Written by atomic replacement, under the
runtime's lock.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from llmops.errors import TargetError


@dataclass(frozen=True, slots=True)
class Members:
    """Shares in percent by `(service, release number)`, and the number of this version."""

    shares: dict[tuple[str, int], int]
    generation: int = 0

    def of(self, service: str) -> dict[int, int]:
        """The service's releases and their shares."""
        return {number: share for (name, number), share in self.shares.items() if name == service}

    def with_member(self, service: str, number: int) -> Members:
        """This with the release added, without a share of traffic if it is new."""
        shares = {(service, number): 0} | self.shares
        return replace(self, shares=shares, generation=self.generation + 1)

    def with_all_traffic(self, service: str, number: int) -> Members:
        """This with all of the service's new requests going to one release.

        Raises:
            TargetError: When the release does not run: the others keep what they have.
        """
        if (service, number) not in self.shares:
            raise _not_here(service, number)
        shares = {
            key: share if key[0] != service else 100 * int(key[1] == number)
            for key, share in self.shares.items()
        }
        return replace(self, shares=shares, generation=self.generation + 1)

    def with_some_traffic(self, service: str, number: int, share: int, beside: int) -> Members:
        """This with `share` percent of the service's new requests going to one release, and the
        rest to another.

        Raises:
            TargetError: When one of them does not run: all keep what they have.
        """
        shares = dict.fromkeys(self.with_all_traffic(service, beside).of(service), 0)
        if number not in shares:
            raise _not_here(service, number)
        shares |= {number: share, beside: 100 - share}
        mine = {(service, one): percent for one, percent in shares.items()}
        return replace(self, shares=self.shares | mine, generation=self.generation + 1)

    def without_traffic(self, service: str, number: int) -> Members:
        """This with no new request going to the release."""
        shares = self.shares | {key: 0 for key in self.shares if key == (service, number)}
        return replace(self, shares=shares, generation=self.generation + 1)

    def without(self, service: str, number: int) -> Members:
        """This without the release."""
        shares = {k: v for k, v in self.shares.items() if k != (service, number)}
        return replace(self, shares=shares, generation=self.generation + 1)

    def without_service(self, service: str) -> Members:
        """This without any release of the service; the very same where it has none."""
        shares = {key: share for key, share in self.shares.items() if key[0] != service}
        if shares == self.shares:
            return self
        return replace(self, shares=shares, generation=self.generation + 1)


def _not_here(service: str, number: int) -> TargetError:
    return TargetError(
        f"release {number} of {service} is not on the runtime, so it cannot be given traffic",
        hint="deploy again: it goes on from here",
    )


def read(path: Path) -> Members:
    """What was written last; nothing when nothing was.

    Raises:
        TargetError: When it is damaged: what runs is not guessed at.
    """
    try:
        document = json.loads(path.read_text())
        shares = {(m["service"], m["release"]): m["share"] for m in document["members"]}
        return Members(shares, document["generation"])
    except FileNotFoundError:
        return Members({})
    except (ValueError, KeyError, TypeError) as error:
        raise TargetError(
            f"{path} is damaged: it does not say which releases run",
            hint="remove it; a deploy of each service puts its release back",
        ) from error


def write(path: Path, members: Members) -> None:
    """Replace the file, so that a reader or a crash sees the old or the new one."""
    document = {
        "generation": members.generation,
        "members": [
            {"service": service, "release": number, "share": share}
            for (service, number), share in sorted(members.shares.items())
        ],
    }
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
