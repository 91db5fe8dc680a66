"""A refusal, and the change to the spec with which it would be none.

Who refuses names changes that might help; here each is tried by planning anew, so a suggestion that
reaches a user has been followed already. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from pydantic import ValidationError

from llmops.errors import RefusedError
from llmops.planning.model import Facts, Plan
from llmops.spec import Deployment, Hardware, Parallelism

Changes = Mapping[str, object]
"""Dotted paths of the spec, and the values to set them to: a Bytes, Replicas, int or word; None to
leave a field out."""

Planner = Callable[[Deployment, Facts], Plan]

MOST_TRIES = 200
"""Plans that are made in search of a suggestion; each takes well below a millisecond."""


class Refusal(RefusedError):
    """The plan refuses. `fixes` are changes that might help, the least drastic first.

    `hint` is what is said when none of them does.
    """

    def __init__(
        self, message: str, *, path: str, hint: str = "", fixes: Iterable[Changes] = ()
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.fixes = tuple(fixes)


def advised(refusal: Refusal, deployment: Deployment, facts: Facts, plan: Planner) -> RefusedError:
    """What to raise instead of `refusal`: it with a suggestion that fits.

    Where no change fits, the refusal that none can lift: to follow the others would be in vain.
    """
    waiting: deque[tuple[Deployment, Refusal, Changes]] = deque([(deployment, refusal, {})])
    met = [refusal]
    tries = 0
    while waiting and tries < MOST_TRIES:
        before, refused, made = waiting.popleft()
        for fix in refused.fixes:
            tries += 1
            changes = {**made, **fix}
            changed = _changed(before, fix)
            if changed is None or changed == before:
                continue
            try:
                plan(changed, facts)
            except Refusal as other:
                waiting.append((changed, other, changes))
                met.append(other)
            else:
                return _raised(refusal, _words(changes), changes)
    worst = min(met, key=lambda one: (bool(one.fixes), not one.hint))  # the first of the worst
    return _raised(worst, worst.hint or f"llmops explain {worst.path}", {})


def _raised(refusal: Refusal, hint: str, changes: Changes) -> RefusedError:
    return RefusedError(refusal.message, hint=hint, path=refusal.path, changes=changes)


def apply(deployment: Deployment, changes: Changes) -> Deployment:
    """The deployment with `changes` made.

    Raises:
        ValidationError: When a value is out of its field's bounds.
    """
    sections: dict[str, object] = {"parallelism": Parallelism(), "hardware": Hardware()}
    document = deployment.model_dump()
    for path, value in changes.items():
        name, *inside, field = path.split(".")
        if document[name] == "auto":
            document[name] = Deployment.model_validate(
                {"name": "x", "model": {"source": "x"}, name: sections[name]}
            ).model_dump()[name]
        section = document[name]
        for step in inside:
            section = section[step]
        section[field] = value
    return Deployment.model_validate(document)


def _changed(deployment: Deployment, changes: Changes) -> Deployment | None:
    try:
        return apply(deployment, changes)
    except ValidationError:  # out of a field's bounds: no suggestion
        return None


def _words(changes: Changes) -> str:
    """What to do; a change to None leaves a field out."""
    parts = [
        f"leave out {path}" if value is None else f"set {path} to {value}"
        for path, value in changes.items()
    ]
    same = all(value is not None for value in changes.values())
    if same:
        parts = [parts[0], *(part.removeprefix("set ") for part in parts[1:])]
    joined = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    away = " (the service is away while it changes)" if "recreate" in changes.values() else ""
    return f"{joined}{away}"
