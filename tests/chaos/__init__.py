"""Under fire: what strangers and callers may throw at the door, what a load sees while releases
change, and writers that meet.

The tests of the door know the gateway, its real HTTP server and what HTTP looks like on the wire,
and no Ray and no vLLM: behind the door stands `FakeEngine`, which answers as vLLM would and
validates nothing, so whatever the door lets through shows. A soak and the races run the installed
program on a real runtime.
"""
