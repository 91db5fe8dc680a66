"""The one flow, composed over a target's ports: resolve, plan, apply, verify.

It knows no SDK and prints nothing: it yields events. What it means to do is recorded before it is
done, by compare-and-swap, so that a run killed at any instant is continued by the next. All that
`pulumi up` and `llmops deploy` do passes through here.
"""

from llmops.workflow.by_hand import end_watch, going, promote
from llmops.workflow.deploying import Confirm, deploy
from llmops.workflow.ending import clear, destroy
from llmops.workflow.moving import move
from llmops.workflow.proposing import Planner, plan
from llmops.workflow.repeating import repeat, settle
from llmops.workflow.resuming import resume
from llmops.workflow.returning import bring_back
from llmops.workflow.rolling_back import rollback

__all__ = [
    "Confirm", "Planner", "bring_back", "clear", "deploy", "destroy", "end_watch", "going", "move",
    "plan", "promote", "repeat", "resume", "rollback", "settle",
]  # fmt: skip
