"""Agents: one algorithm a folder, and the calibration of thresholds."""
