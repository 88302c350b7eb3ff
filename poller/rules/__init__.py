"""This file is the door to the pure decisions: no clock, no randomness, no I/O."""
