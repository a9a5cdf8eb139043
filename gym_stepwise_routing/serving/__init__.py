"""Serving: the live source with a network face. Same rules, ledger and router contract as everywhere else."""
