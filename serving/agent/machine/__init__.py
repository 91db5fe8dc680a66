"""What works on the machine that serves: the agent that does what the store says.

It composes the target `local` with records that are kept in the store, and runs the flow with the
orders that commands have left there. It opens no port.
"""

from serving.agent.machine.agent import Agent
from serving.agent.machine.joining import Joining
from serving.agent.machine.worker import Worker

__all__ = ["Agent", "Joining", "Worker"]
