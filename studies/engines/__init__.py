"""The same weights in several engines: where greedy texts part, and what it does to the verdicts."""
