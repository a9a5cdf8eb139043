"""The demo: train, calibrate, compare, one page."""
