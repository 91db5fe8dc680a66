"""An AWS account as llmops looks at it: who one is, what may be made, what is left and its cost."""

from infra.account.leftovers import Cost, Leftover, Price, costs, leftovers
from infra.account.model import Caller, Group, Priced, Quota, Started, Thing
from infra.account.preflight import Check, Wanted, account_checks, program_checks, refuse
from infra.account.quotas import quota_of, used
from infra.account.reader import Account
from infra.account.remover import Remover

__all__ = [
    "Account", "Caller", "Check", "Cost", "Group", "Leftover", "Price", "Priced", "Quota",
    "Remover", "Started", "Thing", "Wanted", "account_checks", "costs", "leftovers",
    "program_checks", "quota_of", "refuse", "used",
]  # fmt: skip
