"""Under fire: the door's own process, and what strangers and callers may throw at it.

It knows the gateway, its real HTTP server and what HTTP looks like on the wire. It knows no Ray and
no vLLM: behind the door stands `FakeEngine`, which answers as vLLM would and validates nothing, so
whatever the door lets through shows.
"""
