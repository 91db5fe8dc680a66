"""What a load asked and got, event by event, and the proof that nothing in it is amiss. Pure.

A load writes events, from what it sees alone; whoever changes releases writes when it did. The
checker knows no gateway and no engine: it holds the events against each other, and against what
the gateway's audit log, its metrics and the engines have counted. It repairs and guesses nothing:
what is missing in a history is a violation too.
"""

from tests.chaos.history.accounts import (
    Accounts,
    Asked,
    Totals,
    read_audit,
    read_metrics,
    read_totals,
)
from tests.chaos.history.checking import RULES, Violation, check
from tests.chaos.history.events import (
    Began,
    Ended,
    Event,
    Gone,
    Head,
    History,
    How,
    Live,
    Sent,
    dump,
    parse,
)
from tests.chaos.history.outcomes import Outcome, outcome_of
from tests.chaos.history.voices import VOICES, broken_at, voice_of

__all__ = [
    "RULES", "VOICES", "Accounts", "Asked", "Began", "Ended", "Event", "Gone", "Head", "History",
    "How", "Live", "Outcome", "Sent", "Totals", "Violation", "broken_at", "check", "dump",
    "outcome_of", "parse", "read_audit", "read_metrics", "read_totals", "voice_of",
]  # fmt: skip
