"""One file for each kind of bytes from outside.

``fuzz`` takes one input and asserts what must hold of it, ``seeds`` are inputs to begin with, ``WORDS`` are what may be
put into one, and ``BYTES_MAX`` is how long it may become.
"""
