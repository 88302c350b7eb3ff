"""This file is the door to the checkpoint-and-lease stores, one file each."""
