"""Which release answers a request: by the shares, or always the same one for all of a session.

Nothing of a session is kept. A keyed hash makes a point of it, and the shares are laid out over the
points, in the order of the table: so a session stays where it is while the shares stand, and of two
releases whichever gets more of the traffic only gains sessions. The key
is the runtime's own, made at random; without it nobody can tell which release an id leads to before
having tried. Ids are hashed together with whose they are, and go no further than here: neither into
a log nor to an engine.
"""

from __future__ import annotations

import hashlib
import random

from serving.gateway import answers
from serving.gateway.answers import Refusal
from serving.gateway.config import Service
from serving.gateway.exchange import Exchange
from serving.gateway.keys import Key
from serving.gateway.naming import answering
from serving.gateway.upstream import ReleaseRef

RELEASE_HEADER = b"llmops-release"
SESSION_HEADER = b"x-session-id"
LONGEST = 256
"""Bytes of a session's id."""
DIGEST = 16
"""Bytes that a session is known by."""


class Routing:
    """Chooses releases for the requests of one gateway.

    Args:
        secret: The hash's key, of at most 64 bytes; the same at all gateways of a runtime, so that
            a session has one release at all of them.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def session(self, exchange: Exchange, home: str, key: Key | None, affinity: str) -> str:
        """What the session of a request is known by, in hex; empty where it is of none.

        Args:
            exchange: The request.
            home: The service that its key is of.
            key: Its key.
            affinity: What makes a session, as `Service.affinity`.

        Raises:
            Refusal: 400 when it names several sessions, or one by too long an id.
        """
        if affinity == "request" or key is None or key.operator:
            return ""
        told = _told(exchange) if affinity == "header" else b""
        if told is None:
            return ""
        # Names of services and of keys have no NUL.
        whose = f"{home}\0{key.name}\0".encode() + told
        return hashlib.blake2b(whose, key=self._secret, digest_size=DIGEST).hexdigest()

    def choose(
        self, exchange: Exchange, service: str, table: Service, key: Key | None
    ) -> ReleaseRef:
        """The release that answers: by share, or the one that the machine's own key names.

        Raises:
            Refusal: 503 when no release has a share; 404 when none that has one answers to the
                request's model name; 400 when there is none of the name.
        """
        named = exchange.header(RELEASE_HEADER)
        if named and key is not None and key.operator:
            return self._named(exchange, service, table, named[0].decode("latin-1"))
        releases = answering(table, exchange.model)
        total = sum(share.share for share in releases)
        if not total and any(share.share for share in table.releases):
            raise answers.no_model(exchange.model)
        if not total:
            raise Refusal(
                503,
                "no_release",
                f"no release of {service} serves now",
                kind="server_error",
                headers=(("retry-after", "5"),),
            )
        point = _point(exchange.session, total)
        chosen = releases[0]
        for chosen in releases:
            point -= chosen.share
            if point < 0:
                break
        return ReleaseRef(service, chosen.release)

    def _named(self, exchange: Exchange, service: str, table: Service, wanted: str) -> ReleaseRef:
        if wanted not in {str(share.release) for share in table.releases}:
            raise answers.bad(f"{service} has no release {wanted[:20]}")
        if wanted not in {str(share.release) for share in answering(table, exchange.model)}:
            raise answers.no_model(exchange.model)
        exchange.named = True
        return ReleaseRef(service, int(wanted))


def _told(exchange: Exchange) -> bytes | None:
    """The id that a request gives its session; None where it gives none."""
    told = exchange.header(SESSION_HEADER)
    if len(told) > 1:
        raise answers.bad("'x-session-id' must be sent once")
    if not told or not told[0]:
        return None
    if len(told[0]) > LONGEST:
        raise answers.bad(f"'x-session-id' may have at most {LONGEST} bytes")
    return told[0]


def _point(session: str, total: int) -> int:
    """Where a session stands among as many equal parts; anywhere where there is none."""
    if not session:
        return random.randrange(total)  # noqa: S311 - spreads load, guards nothing
    return int(session, 16) * total >> 8 * DIGEST


__all__ = ["LONGEST", "RELEASE_HEADER", "SESSION_HEADER", "Routing"]
