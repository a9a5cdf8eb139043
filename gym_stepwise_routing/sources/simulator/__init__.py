"""The simulator: unlimited problems from a hidden-state process with measured constants."""

from gym_stepwise_routing.sources.simulator.parameters import SimulatorParameters
from gym_stepwise_routing.sources.simulator.presets import PRESETS, load_preset
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource

__all__ = ["PRESETS", "SimulatorParameters", "SimulatorSource", "load_preset"]
