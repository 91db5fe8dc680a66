"""How many replicas there should be: one pure function, live and in the simulator."""

from llmops.policies.scaling.decide import Decision, decide
from llmops.policies.scaling.memory import Memory
from llmops.policies.scaling.observation import Observation
from llmops.policies.scaling.settings import ScalingSettings, Scheduled
from llmops.policies.scaling.staffing import staffed

__all__ = ["Decision", "Memory", "Observation", "ScalingSettings", "Scheduled", "decide", "staffed"]
