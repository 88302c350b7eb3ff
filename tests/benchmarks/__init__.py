"""How fast the worker is, in ratios against what one would use instead, taken in the same run."""
