"""Plans, deployments and histories for tests of releases: as little as the flow looks at."""

from __future__ import annotations

from llmops.planning import (
    EngineSettings,
    Facts,
    Figure,
    Layout,
    Limits,
    MachineFacts,
    ModelFacts,
    Plan,
    PlannedMemory,
    PlannedModel,
    Upkeep,
)
from llmops.planning.upkeep import planned_upkeep
from llmops.releases import History, Observed, Phase, Release, Seen, State
from llmops.spec.models import Deployment, Maintenance, Model, Security

SERVICE = "chat"
DRAIN = 100.0
WATCH = 12.0


def make_plan(
    identity: str,
    *,
    strategy: str = "rolling",
    keys: tuple[str, ...] = ("default",),
    facts_digest: str = "facts",
    engine_identity: str = "",
    upkeep: Upkeep = Upkeep(canary_seconds=WATCH),  # noqa: B008 - a frozen value
) -> Plan:
    figure = Figure(1, "a test says so")
    return Plan(
        service=SERVICE,
        identity=identity,
        engine_identity=engine_identity,
        facts_digest=facts_digest,
        model=PlannedModel(identity, "r", figure, figure, figure, figure),
        memory=PlannedMemory(figure, figure, figure, figure, figure, figure),
        layout=Layout("cpu", 1, 1, 1, 1, figure, "one"),
        options=(),
        engine=EngineSettings("vllm", "0", "bfloat16", {}),
        limits=Limits(1, 1, 1, 1),
        host="127.0.0.1",
        port=8000,
        keys=keys,
        target_in_flight=16,
        strategy=strategy,
        drain_seconds=DRAIN,
        start_deadline_seconds=900.0,
        upkeep=upkeep,
    )


def make_deployment(
    source: str,
    *,
    strategy: str = "rolling",
    keys: tuple[str, ...] = ("default",),
    **maintenance: object,
) -> Deployment:
    """A deployment whose `model.source` decides in the simulated target how it behaves."""
    return Deployment(
        name=SERVICE,
        model=Model(source=source),
        maintenance=Maintenance.model_validate(
            {"strategy": strategy, "canary": {"watch": f"{WATCH:.0f}s"}, **maintenance}
        ),
        security=Security(keys=keys),
    )


def plan_of(deployment: Deployment, facts: Facts) -> Plan:
    """The planner of these tests: a source `a+x+y` is the model `a` with the adapters `x`, `y`."""
    source, strategy = deployment.model.source, deployment.maintenance.strategy
    hosts = "+" in source and strategy != "recreate"
    return make_plan(
        f"{source} {strategy}",
        strategy=strategy,
        engine_identity=source.split("+")[0] if hosts else "",
        keys=deployment.security.keys,
        facts_digest=facts.engine_version,
        upkeep=planned_upkeep(deployment.maintenance),
    )


def make_facts(digest: str) -> Facts:
    model = ModelFacts("m", "r", {}, 1, 1, {}, 0, chat_template=True, converted=False)
    machine = MachineFacts(1, 1, 1, 1, (), "", None)
    return Facts(model, machine, (), digest)


def release(number: int, state: State, **more: object) -> Release:
    made: dict[str, object] = {
        "service": SERVICE,
        "number": number,
        "plan": make_plan(f"p{number}"),
        "state": state,
        "created_at": float(number),
        **more,
    }
    return Release(**made)  # type: ignore[arg-type]  # a test names only what it is about


def observed(*pairs: tuple[Release | None, Seen | None]) -> Observed:
    """What is recorded beside what is seen; either may be missing."""
    releases = tuple(recorded for recorded, _ in pairs if recorded is not None)
    seen = tuple(shown for _, shown in pairs if shown is not None)
    return Observed(History(SERVICE, releases), seen)


def seen(number: int, phase: Phase = Phase.READY, share: int = 0, in_flight: int = 0) -> Seen:
    return Seen(number, phase, share, in_flight)
