"""This file is the door to `poller dev`: an embedded endpoint and sample traffic."""
