"""Trainings of baselines that need PyTorch."""
