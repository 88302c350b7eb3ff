"""This file is the door to those who listen to events: metrics, log, health."""
