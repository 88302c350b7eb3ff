"""What the peer `kcl` is made of: the jars that it starts, and what they start."""
