"""The simulator: unlimited problems from a hidden-state process with measured constants."""

from gym_stepwise_routing.sources.simulator.parameters import SimulatorParameters
from gym_stepwise_routing.sources.simulator.presets import load_preset, preset_names
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource

__all__ = ["SimulatorParameters", "SimulatorSource", "load_preset", "preset_names"]
