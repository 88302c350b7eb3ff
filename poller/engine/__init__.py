"""This file is the door to time and tasks: worker > supervisor > shard > delivery."""
