"""The tests. Pure ones run in seconds; `tests/e2e` starts a real Ray and a real vLLM."""
