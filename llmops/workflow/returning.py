"""What was live on a target that went down, brought back: by the record, and nothing else.

No spec is read and no plan is made. A release that was only tried on some of the traffic is not
gone on with: `llmops deploy` tries it again.
"""

from __future__ import annotations

import time

from llmops.errors import LlmopsError, TargetError
from llmops.events import Flow, Progress
from llmops.reconciling import Clock
from llmops.targets import Operator
from llmops.workflow.repeating import settle


def bring_back(operator: Operator, *, clock: Clock = time.time) -> Flow[tuple[str, ...]]:
    """Have every live release serve that the record knows, one service after the other; what serves
    already is asked whether it does.

    Returns:
        The services that serve.

    Raises:
        LlmopsError: When some could not be brought back, once all were tried: of one alone its own
            error, of several one that names them.
    """
    serve, failed = [], {}
    for service in operator.store.services():
        try:
            if (yield from _one(operator, service, clock)):
                serve.append(service)
        except LlmopsError as error:
            failed[service] = error
            yield Progress("runtime", f"{service} was not brought back: {error.message}")
    if len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        raise TargetError(
            f"{len(failed)} services were not brought back: {', '.join(failed)}",
            hint="above stands why; llmops runtime start tries again",
            serving=bool(serve),
        )
    return tuple(serve)


def _one(operator: Operator, service: str, clock: Clock) -> Flow[bool]:
    with operator.lock(service, "brought back"):
        live = operator.store.read(service)[0].live
        if live is None:
            return False
        yield from settle(operator, live, clock=clock)
        return True


__all__ = ["bring_back"]
