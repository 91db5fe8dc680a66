"""The target `aws`: small Pulumi components, one idea each, and what puts them together."""

from infra.aws.stack import declare

__all__ = ["declare"]
