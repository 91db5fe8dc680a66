"""Planning: from a deployment and facts to a plan whose every number has a reason."""

from llmops.planning.model import *  # noqa: F403
