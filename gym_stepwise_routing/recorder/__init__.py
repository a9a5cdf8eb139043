"""Recording of routing trees with real language models."""
