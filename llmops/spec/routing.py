"""Which release, and which replica of it, a request goes to, as far as a user may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec.document import Section


class Routing(Section):
    """Which release, and which replica of it, a request goes to."""

    affinity: Literal["request", "header", "key"] = "request"
    """What goes the same way. `request`: each for itself, which spreads the load best. `header`:
    requests of one API key with the same `x-session-id` are a session, and others go as they come.
    `key`: all requests of one API key are. A session keeps its release while the shares stand, so
    that a canary's share is one of sessions; and its replica while that lives and has room, so that
    what is cached of a conversation is found."""

    shadow: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent of the requests that are also sent to the release that does not answer them, while a
    canary shares the traffic. Its answer is thrown away: whether it failed, its tokens, its end and
    its time to first token are compared. It counts against no key, and gives way to requests."""
