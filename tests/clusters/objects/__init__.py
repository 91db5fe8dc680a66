"""Tests of the objects of the target `kubernetes`."""
