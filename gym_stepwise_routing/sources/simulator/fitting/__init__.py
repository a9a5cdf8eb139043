"""How the presets were made: ``python -m gym_stepwise_routing.sources.simulator.fitting --help``. Needs scipy."""
