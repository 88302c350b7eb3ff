"""This file is the door for those who ask over HTTP."""
