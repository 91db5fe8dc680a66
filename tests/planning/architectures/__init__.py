"""The readers of architectures, family by family."""
