"""What the worker is compared with: each file is a whole program that does the same work in another way."""
