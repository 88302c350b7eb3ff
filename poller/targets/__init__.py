"""This file is the door to the ways to invoke a function, one file each."""
