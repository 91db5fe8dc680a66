"""Tests of the house itself: doors, layers, sizes, the wheel, the examples, what must not occur."""
