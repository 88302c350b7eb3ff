"""Parts with a memory against plain models, step by step: this package holds Hypothesis's state machines."""
