"""The memory of training: contradictions, adapters as peft makes them, laws of the sums."""
