"""Stacks on the real `pulumi` program, over a provider that plays AWS."""
