"""Tests of the machines: what is declared, without a cloud and without the Pulumi program."""
