"""A stand-in for KubeRay's operator, for Ray Serve and for what runs in pods. It is none of them.

For tests only: it makes of a RayService the objects and the status that KubeRay 1.7 documents, and
answers for gateway pods that a fake kubelet only pretends to run. Each module says what it leaves
out.
"""

from tests.kubernetes.standin.engine import Latency, Tally
from tests.kubernetes.standin.standin import StandIn

__all__ = ["Latency", "StandIn", "Tally"]
