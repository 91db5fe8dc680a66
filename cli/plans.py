"""How a plan is shown: what would change, and every figure with its reason."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cli.output import print_table, tell
from cli.plan_machines import machine_line, machine_rows
from llmops.units import Bytes

if TYPE_CHECKING:
    from pathlib import Path

    from cli.fleet import Shown
    from llmops.events import Planned, Previewed, Reviewed
    from llmops.planning import Figure, Plan, fleet
    from llmops.spec import Deployment, Loaded

SIZES = frozenset({"weight_bytes", "kv_bytes_per_token", "per_device_bytes", "weights", "kv_cache",
                   "overhead", "total"})  # fmt: skip
"""Figures in bytes."""

IGNORED = frozenset({"identity", "facts_digest", "options", "notes", "reason"})
"""What two plans may differ in without a difference for what runs."""


def run(
    files: list[Path] | None,
    model: str | None,
    own: list[Path] | None,
    wish: fleet.Wish,
    shown: Shown,
    *,
    offline: bool,
) -> None:
    """Plan a spec for this machine, and print what is asked for."""
    from cli.options import Format
    from cli.output import Drawer, draw, print_data
    from cli.places import target_of
    from cli.specs import placed, read_any
    from llmops import workflow
    from llmops.planning import plan_document
    from llmops.spec import Loaded

    refuse_elsewhere(model, wish, shown, own)
    loaded = read_any(files)
    if not isinstance(loaded, Loaded):
        from cli import finetune_plan

        finetune_plan.run(loaded, shown, offline=offline)
        return
    with placed(loaded):
        flow = workflow.plan(target_of(loaded.deployment), loaded.deployment, offline=offline)
        drawer = Drawer(loaded)
        planned = draw(flow, drawer)
    if shown.plot is not None:
        from cli.fleet_views import write_plot
        from llmops.planning import fleet

        title = f"Memory of {planned.plan.service} on this machine"
        write_plot(shown.plot, fleet.local_bars(planned.plan), title)
    if shown.explain is not None:
        _explain(loaded.deployment, planned.plan, shown, offline=offline)
    elif shown.compare is not None:
        _compare(planned, shown, offline=offline)
    elif shown.output is Format.TEXT:
        print_plan(planned.plan)
    else:
        live = planned.live.number if planned.live else None
        document = plan_document(planned.plan) | {"changed": planned.changed, "live": live}
        if drawer.previewed is not None:
            document |= _previewed(drawer.previewed)
        if drawer.reviewed is not None:
            document |= _reviewed(drawer.reviewed)
        print_data(document, shown.output)


def _previewed(previewed: Previewed) -> dict[str, Any]:
    """What the target would change, as plain data."""
    from llmops.policies import findings_document

    document: dict[str, Any] = {"changes": [asdict(change) for change in previewed.changes]}
    if previewed.findings:
        document["change_findings"] = findings_document(previewed.findings)
    if previewed.price is not None:
        before, after = previewed.price
        document["usd_per_hour"] = {"now": before, "then": after}
    return document


def _reviewed(reviewed: Reviewed) -> dict[str, Any]:
    """What policies set and said, as plain data."""
    from cli.policy_text import setting_document
    from llmops.policies import findings_document

    return {
        "settings": [setting_document(setting) for setting in reviewed.settings],
        "findings": findings_document(reviewed.findings),
    }


def _explain(deployment: Deployment, plan: Plan, shown: Shown, *, offline: bool) -> None:
    """Derive a figure: the model's facts are asked for once more, and are here by now."""
    from cli.fleet_model import model_facts
    from cli.fleet_views import print_derivation
    from llmops.planning import fleet

    facts = model_facts(plan.model.source, plan.model.revision or None, offline=offline)
    subject = fleet.Subject.of(facts, deployment.engine.dtype)
    tree = fleet.explain_local(plan, subject, facts.config, str(shown.explain))
    print_derivation(tree, shown.output)


def _compare(planned: Planned, shown: Shown, *, offline: bool) -> None:
    """Beside what is live, or another spec's plan for this machine."""
    from pathlib import Path

    from cli.fleet_views import print_comparison
    from cli.output import Drawer, draw
    from cli.places import target_of
    from cli.specs import placed, read_spec
    from llmops import workflow
    from llmops.errors import InputError
    from llmops.planning import fleet

    if shown.compare == "live":
        if planned.live is None:
            name = planned.plan.service
            raise InputError(f"{name} has no live release to compare with",
                             hint=f"llmops status {name}")  # fmt: skip
        beside = planned.live.plan
    else:
        other = read_spec([Path(str(shown.compare))])
        with placed(other):
            flow = workflow.plan(target_of(other.deployment), other.deployment, offline=offline)
            beside = draw(flow, Drawer()).plan
    ours, theirs = fleet.of_local(planned.plan), fleet.of_local(beside)
    print_comparison(ours, theirs, str(shown.compare), shown.output)


def refuse_elsewhere(
    model: str | None, wish: fleet.Wish, shown: Shown, own: list[Path] | None = None
) -> None:
    """Refuse what only a plan beyond this machine can answer.

    Raises:
        InputError: Naming the first such option.
    """
    from llmops.errors import InputError
    from llmops.planning import fleet

    if model is not None:
        raise InputError(
            "a plan for this machine needs a spec: it says port, keys and replicas too",
            hint="llmops init NAME --source SOURCE writes one; or leave out --on here",
        )
    names = {"in_flight": "in-flight", "providers": "provider", "regions": "region"}
    for field, default in fleet.Wish.__dataclass_fields__.items():
        if getattr(wish, field) != default.default:
            raise _elsewhere(names.get(field, field))
    if own:
        raise _elsewhere("catalog")
    for field in ("rejected", "layouts"):
        if getattr(shown, field):
            raise _elsewhere(field)


def _elsewhere(option: str) -> Exception:
    from llmops.errors import InputError

    return InputError(
        f"--{option} is for a plan beyond this machine",
        hint="add --on catalog, or write it into the spec: llmops explain",
    )


def print_change(planned: Planned) -> None:
    """In a few lines, what applying the plan would do to what is live."""
    plan, live = planned.plan, planned.live
    if not planned.changed and live is not None:
        tell(f"{plan.service}: nothing changed since release {live.number}")
        return
    if live is None:
        tell(f"{plan.service}: a first release, of {plan.model.source}")
    else:
        tell(f"{plan.service}: a new release in place of release {live.number}")
        for name, before, after in differences(live.plan, plan):
            tell(f"  {name}: {before} -> {after}")
    stages = f" x {plan.layout.pipeline} stages" if plan.layout.pipeline > 1 else ""
    replicas = f"{plan.layout.replicas_high} replica(s){stages} x {plan.layout.tensor} shard(s)"
    tell(
        f"  {replicas} on {plan.layout.device}, {human(plan.memory.total, size=True)} of memory,"
        f" context {plan.model.context.value} tokens, KV cache"
        f" {plan.memory.kv_tokens.value} tokens, endpoint {plan.host}:{plan.port}"
    )
    if plan.machines is not None:
        tell(f"  {machine_line(plan.machines)}")
    for note in plan.notes:
        tell(f"  note: {note}")


def print_review(reviewed: Reviewed, loaded: Loaded | None) -> None:
    """What the target's policies set and said, each finding at its line of the spec."""
    from cli.policy_text import print_finding, print_setting

    for setting in reviewed.settings:
        print_setting(setting, err=True)
    for finding in reviewed.findings:
        where = loaded.where(finding.path) if loaded and finding.path else None
        place = "{}:{}:{}".format(*where) if where else ""
        print_finding(finding, place, err=True)


MOST_FIELDS = 12
"""Fields of one object that are shown; `-o json` has them all."""


def print_changes(previewed: Previewed) -> None:
    """What the target would change, object by object; what stays as it is in one line."""
    same = sum(change.action == "unchanged" for change in previewed.changes)
    signs = {"create": "+", "update": "~", "replace": "+-", "delete": "-"}
    for change in previewed.changes:
        if change.action == "unchanged":
            continue
        tell(f"  {signs[change.action]} {change.name}")
        shown = change.fields if change.action in ("update", "replace") else ()
        for path, before, after in shown[:MOST_FIELDS]:
            old, new = _brief(before), _brief(after)
            tell(f"      {path}: {f'{old} -> {new}' if old != new else 'changed, see -o json'}")
        if len(shown) > MOST_FIELDS:
            tell(f"      and {len(shown) - MOST_FIELDS} more fields")
    if same:
        tell(f"  = {same} objects stay as they are")
    _print_meaning(previewed)


def _print_meaning(previewed: Previewed) -> None:
    """What the changes mean: what has to be said of them, and the difference in price."""
    from cli.policy_text import print_finding

    for finding in previewed.findings:
        print_finding(finding, "", err=True)
    if previewed.price is not None:
        before, after = previewed.price
        tell(f"  price: {before:,.2f} -> {after:,.2f} USD an hour ({after - before:+,.2f})")


def _brief(value: object) -> str:
    text = "none" if value is None else " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def human(figure: Figure, *, size: bool) -> str:
    """A figure's value for people."""
    if size and isinstance(figure.value, int):
        return Bytes(figure.value).human()
    return f"{figure.value:,}" if isinstance(figure.value, int) else str(figure.value)


def print_plan(plan: Plan) -> None:
    """Every figure with its reason."""
    figures = [
        ("parameters", plan.model.parameters),
        ("weight_bytes", plan.model.weight_bytes),
        ("kv_bytes_per_token", plan.model.kv_bytes_per_token),
        ("context", plan.model.context),
        ("weights", plan.memory.weights),
        ("kv_cache", plan.memory.kv_cache),
        ("kv_tokens", plan.memory.kv_tokens),
        ("overhead", plan.memory.overhead),
        ("per_device_bytes", plan.memory.per_device_bytes),
        ("total", plan.memory.total),
        ("threads", plan.layout.threads),
    ]
    rows = [(name, human(figure, size=name in SIZES), figure.reason) for name, figure in figures]
    stages = f", pipeline {plan.layout.pipeline}" if plan.layout.pipeline > 1 else ""
    layout = f"tensor {plan.layout.tensor}{stages}, {plan.layout.device}"
    rows.append(("layout", layout, plan.layout.reason))
    rows += machine_rows(plan.machines)
    print_table(("FIGURE", "VALUE", "REASON"), rows)


def differences(before: Plan, after: Plan) -> list[tuple[str, str, str]]:
    """What differs between two plans: a dotted name, the old and the new value."""
    from llmops.planning import plan_document

    old, new = _flat(plan_document(before)), _flat(plan_document(after))
    names = [*old, *(name for name in new if name not in old)]
    return [
        (name, _text(old.get(name)), _text(new.get(name)))
        for name in names
        if old.get(name) != new.get(name)
    ]


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if key in IGNORED:
            continue
        name = prefix if key == "value" else f"{prefix}.{key}".strip(".")
        if isinstance(value, dict):
            flat |= _flat(value, name)
        else:
            flat[name] = value
    return flat


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return (
        ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)
    )
