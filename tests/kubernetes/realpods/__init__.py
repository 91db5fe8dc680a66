"""Pods whose programs are real: real Ray, the real Serve application, the real engine.

For tests only. Neither KubeRay's operator nor a kubelet is here, and no container: each module says
what it leaves out.
"""

from tests.kubernetes.realpods.operator import RealOperator
from tests.kubernetes.realpods.runner import PodRunner

__all__ = ["PodRunner", "RealOperator"]
