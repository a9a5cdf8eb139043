"""Verifiers (process reward models): trained here, taken from a hub, or simulated; their scores live in the bank."""
