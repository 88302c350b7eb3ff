"""This file is the door to the stream services, one file each."""
