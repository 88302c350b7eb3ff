"""Bytes from outside, by the million: this package holds what comes from a wire or a file against second opinions."""
