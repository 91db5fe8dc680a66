"""What `pulumi up` runs: the stack of the spec that the stack's configuration names."""

from infra.configured import run

run()
