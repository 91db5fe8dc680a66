"""The rules that a history must keep. Each is a function of its own; its first line says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.history.accounts import Accounts
from tests.chaos.history.events import History
from tests.chaos.history.outcomes import Outcome, outcome_of
from tests.chaos.history.voices import broken_at, voice_of

Rule = Callable[[History, Accounts], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, and where."""

    rule: str
    what: str


def one_outcome(history: History, accounts: Accounts) -> Iterator[str]:
    """Each request has exactly one outcome, and each outcome a request."""
    for number, sents in history.sent.items():
        ends, heads = len(history.ended.get(number, [])), len(history.heads.get(number, []))
        if (len(sents), ends) != (1, 1) or heads > 1:
            yield f"request {number} was sent {len(sents)}, begun {heads} and ended {ends} times"
    for number in (history.ended.keys() | history.heads.keys()) - history.sent.keys():
        yield f"request {number} was answered and never sent"


def none_lost(history: History, accounts: Accounts) -> Iterator[str]:
    """No request goes without an answer or a word about it."""
    for sent, head, ended in history.exchanges():
        if outcome_of(head, ended) is Outcome.LOST:
            yield f"request {sent.request} was lost: {ended.why or ended.how}"


def none_truncated(history: History, accounts: Accounts) -> Iterator[str]:
    """No answer that stopped is passed off as a whole one."""
    for sent, head, ended in history.exchanges():
        if outcome_of(head, ended) is Outcome.TRUNCATED:
            yield f"request {sent.request} stops after {len(ended.text)} tokens: {ended.why}"


def typed_errors(history: History, accounts: Accounts) -> Iterator[str]:
    """An error has a code and the request's id; inside of a stream, that of its head."""
    for sent, head, ended in history.exchanges():
        outcome = outcome_of(head, ended)
        if head is None or outcome not in (Outcome.REFUSED, Outcome.CUT):
            continue
        if not ended.error or not head.id:
            yield f"request {sent.request} was answered {head.status} without a code or an id"
        elif outcome is Outcome.CUT and ended.error_id != head.id:
            yield f"request {sent.request}: its error names '{ended.error_id}', not '{head.id}'"


def right_length(history: History, accounts: Accounts) -> Iterator[str]:
    """A whole answer has as many tokens as were asked for, and counts them so."""
    for sent, head, ended in history.exchanges():
        if outcome_of(head, ended) is not Outcome.WHOLE:
            continue
        told = len(ended.text), ended.counted, ended.finish
        if told != (sent.tokens, sent.tokens, "length"):
            yield f"request {sent.request} of {sent.tokens} tokens has (text, count, end) {told}"
        elif not 1 <= ended.pieces <= (sent.tokens if sent.stream else 1):
            yield f"request {sent.request} of {sent.tokens} tokens came in {ended.pieces} pieces"


def one_voice(history: History, accounts: Accounts) -> Iterator[str]:
    """What came of an answer, whole or not, is one text of one release: in order, nothing amiss."""
    for sent, _, ended in history.exchanges():
        if (at := broken_at(ended.text)) is not None:
            yield f"request {sent.request}: '{ended.text[max(0, at - 8) : at + 8]}' at {at}"


def own_voice(history: History, accounts: Accounts) -> Iterator[str]:
    """The release that an answer names is the one whose text it is."""
    for sent, head, ended in history.exchanges():
        if not ended.text or head is None:
            continue
        began = history.began.get(head.release or 0)
        if began is None or voice_of(ended.text) != began.voice:
            yield f"request {sent.request} names release {head.release}: {ended.text[:10]}"


def none_early(history: History, accounts: Accounts) -> Iterator[str]:
    """No release answers before it was begun."""
    for sent, head, ended in history.exchanges():
        began = history.began.get((head.release if head else None) or 0)
        if began is not None and ended.at < began.at:
            yield f"request {sent.request} ended before release {began.release} began"


def none_superseded(history: History, accounts: Accounts) -> Iterator[str]:
    """Once a release holds all traffic, no earlier one answers what is sent from then on."""
    live = sorted(history.live.values(), key=lambda one: one.at)
    for sent, head, _ in history.exchanges():
        if head is None or head.release is None or sent.asked is not None:
            continue
        newest = max((one.release for one in live if one.at < sent.at), default=0)
        if head.release < newest:
            yield f"request {sent.request} was answered by release {head.release}, not {newest}"


def none_ended(history: History, accounts: Accounts) -> Iterator[str]:
    """No release answers what is sent once it is gone."""
    for sent, head, ended in history.exchanges():
        gone = history.gone.get((head.release if head else None) or 0)
        if gone is not None and gone.at < sent.at and ended.text:
            yield f"request {sent.request} was answered by release {gone.release}, which was gone"


def as_asked(history: History, accounts: Accounts) -> Iterator[str]:
    """A request that names a release is answered by that one, or refused."""
    for sent, head, ended in history.exchanges():
        if sent.asked is None or head is None or head.release == sent.asked:
            continue
        if head.release is not None or ended.text:
            yield f"request {sent.request} asked release {sent.asked}, not {head.release}"


def audited(history: History, accounts: Accounts) -> Iterator[str]:
    """The audit log has one line of each request, which says of it what its client saw."""
    if not accounts.audit:
        return
    lines = {line.id: line for line in accounts.audit}
    times = Counter(line.id for line in accounts.audit)
    yield from (f"the audit log has {n} lines of {one}" for one, n in times.items() if n > 1)
    for sent, head, ended in history.exchanges():
        if head is None or not head.id:
            continue
        line = lines.get(head.id)
        if line is None:
            yield f"request {sent.request} ({head.id}) is not in the audit log"
            continue
        seen = sent.key, head.release, head.status
        if seen != (line.key, line.release, line.status):
            yield f"request {sent.request} was {seen}, and is audited as {line}"
        elif ended.counted is not None and ended.counted != line.tokens:
            yield f"request {sent.request} had {ended.counted} tokens, audited are {line.tokens}"


def none_besides(history: History, accounts: Accounts) -> Iterator[str]:
    """The audit log has no more requests of the load's keys than the load has sent."""
    known = {head.id for heads in history.heads.values() for head in heads}
    keys = {sent.key for sents in history.sent.values() for sent in sents if sent.asked is None}
    silent = Counter(sent.key for sent, head, _ in history.exchanges() if head is None)
    more = Counter(one.key for one in accounts.audit if one.id not in known and one.key in keys)
    for key, count in more.items():
        if count > silent[key]:
            yield f"{count} requests of {key} are audited that nobody sent, {silent[key]} had none"


def metered(history: History, accounts: Accounts) -> Iterator[str]:
    """The metrics count what the audit log does, by key, release and status."""
    if not accounts.metrics:
        return
    counted = Counter(
        (line.key, str(line.release or ""), 502 if line.reason == "stream_cut" else line.status)
        for line in accounts.audit
    )
    for who in counted.keys() | accounts.metrics.keys():
        if counted[who] != accounts.metrics.get(who, 0):
            metrics = accounts.metrics.get(who, 0)
            yield f"{who}: {counted[who]} in the audit log, {metrics} in the metrics"


def engines_agree(history: History, accounts: Accounts) -> Iterator[str]:
    """Engines were asked what the audit log says, and have answered all that was answered whole."""
    for release, totals in accounts.engines.items():
        lines = [line for line in accounts.audit if line.release == release]
        whole = [line for line in lines if line.status == 200 and line.reason == "ok"]
        counts = {"asked": totals.asked, "answered": totals.answered, "finished": totals.finished}
        for name, count in counts.items():
            if count is not None and not len(whole) <= count <= len(lines):
                yield f"release {release}: {len(whole)} to {len(lines)} requests, {count} {name}"
        tokens = sum(line.tokens for line in whole)
        exact = len(whole) == len(lines)
        if totals.generated is not None and (
            totals.generated < tokens or (exact and totals.generated != tokens)
        ):
            yield f"release {release}: {tokens} tokens answered, {totals.generated} generated"


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        one_outcome, none_lost, none_truncated, typed_errors, right_length, one_voice, own_voice,
        none_early, none_superseded, none_ended, as_asked, audited, none_besides, metered,
        engines_agree,
    )
}  # fmt: skip


def check(
    history: History, accounts: Accounts | None = None, rules: Mapping[str, Rule] = RULES
) -> list[Violation]:
    """All that is amiss in a history; nothing, where all rules are kept.

    Args:
        history: What the load saw, and when releases were changed.
        accounts: What others counted of it; without, the history is held against itself alone.
        rules: Those to hold it against.
    """
    found = accounts or Accounts()
    return [Violation(name, what) for name, rule in rules.items() for what in rule(history, found)]


__all__ = ["RULES", "Rule", "Violation", "check"]
