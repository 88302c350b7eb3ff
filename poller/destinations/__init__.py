"""This file is the door to the places for what was given up, one file each."""
