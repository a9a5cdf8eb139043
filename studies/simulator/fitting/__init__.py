"""How the presets were made: ``python -m studies.simulator.fitting --help``. Needs scipy."""
