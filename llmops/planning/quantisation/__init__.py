"""How a checkpoint's weights are stored: from `config.json` to bytes, with what stays as it is.

Pure. It follows what vLLM 0.32 creates to load each kind of checkpoint, and says which it does not
load. How weights are cut over devices, and what a KV cache takes, is not said here.
"""

from llmops.planning.quantisation.kv import kv_element
from llmops.planning.quantisation.methods import read
from llmops.planning.quantisation.value import Quantisation

__all__ = ["Quantisation", "kv_element", "read"]
