"""States to keep and put back: any that a target can have, and a small one to look at."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import strategies as st

from llmops.policies import Applied, Shelf
from llmops.releases import History, Release, State
from llmops.saved import Access, Saved, SavedService
from serving.gateway import Key, KeySet
from tests.releases.plans import SERVICE, make_plan, release

CANARY = "canary-secret-5e1f"
"""Stands for every secret: it must be in no archive in clear."""

POLICY = "apiVersion: llmops/v1\nkind: Policy\nname: house\n"


def key(number: int, *, revoked: float | None = None, name: str = "") -> Key:
    """A key record."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return Key(f"{number:016x}", name or f"key-{number}", digest, float(number), revoked)


def keys(service: str, *records: Key) -> str:
    """Key records as a document."""
    return KeySet(0, {service: tuple(records)}).dump()


def history(*states: State, service: str = SERVICE) -> History:
    """A history of releases in these states, numbered from 1."""
    made = (release(n, state, verified_at=float(n)) for n, state in enumerate(states, 1))
    return History(service, tuple(made))


def state(found: History | None = None, **more: object) -> Saved:
    """A machine's state with one service, a policy and secrets."""
    past = found or history(State.RETIRED, State.LIVE)
    access = Access(keys(past.service, key(1), key(2, revoked=5.0)), {"operator-key": CANARY})
    fields: dict[str, object] = {
        "created_at": 1_000_000.5,
        "version": "0.1.0",
        "target": "local",
        "services": (SavedService(past, access),),
        "policies": Shelf((Applied("house", 1, POLICY, 3.0, "ada"),)),
        "shared": {"tls/key.pem": "Y2FuYXJ5"},
        **more,
    }
    return Saved(**fields)  # type: ignore[arg-type]  # a test names only what it is about


def without_secrets(saved: Saved) -> Saved:
    """A state without what may only be kept sealed."""
    bare = tuple(replace(s, access=Access(s.access.keys)) for s in saved.services)
    return replace(saved, services=bare, shared={})


ENDED = (State.STAGING, State.RETIRED, State.FAILED)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
times = st.floats(0, 4e9, allow_nan=False)
names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@st.composite
def _releases(draw: st.DrawFn, service: str) -> tuple[Release, ...]:
    numbers = draw(st.lists(st.integers(1, 40), unique=True, max_size=4))
    live = draw(st.none() | st.sampled_from(numbers or [0]))  # at most one, as in any record
    return tuple(
        Release(
            service,
            number,
            make_plan(draw(texts)),
            State.LIVE if number == live else draw(st.sampled_from(ENDED)),
            draw(times),
            draw(st.none() | times),
            draw(st.none() | times),
            draw(texts),
            draw(st.none() | st.integers(1, 9)),
        )
        for number in sorted(numbers)
    )


@st.composite
def _services(draw: st.DrawFn) -> tuple[SavedService, ...]:
    made = []
    for name in sorted(draw(st.lists(names, unique=True, max_size=3))):
        records = [
            key(n, revoked=draw(st.none() | times))
            for n in sorted(draw(st.sets(st.integers(0, 99), max_size=3)))
        ]
        secrets = draw(st.dictionaries(names, texts, max_size=2))
        access = Access(keys(name, *records) if records else "", secrets)
        made.append(SavedService(History(name, draw(_releases(name))), access))
    return tuple(made)


shelves = st.builds(
    Shelf,
    st.lists(
        st.builds(Applied, names, st.integers(1, 9), texts, times, texts, st.none() | times),
        max_size=3,
    ).map(tuple),
)

states = st.builds(
    Saved,
    created_at=times,
    version=texts,
    target=st.sampled_from(["local", "kubernetes"]),
    where=st.dictionaries(names, texts, max_size=2),
    services=_services(),
    policies=shelves,
    shared=st.dictionaries(names, texts, max_size=2),
)
