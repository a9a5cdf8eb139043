"""Exact optima of simulated games, with full information and with a router's real information. Needs scipy."""
