"""Experiments that write result pages. Not installed: run from a checkout, as ``python -m studies.NAME``."""
