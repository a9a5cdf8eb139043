"""What can be asked for by name: one registry a kind, filled by this package and by packages that extend it."""

from gym_stepwise_routing.registry.registry import Registry, registering

__all__ = ["Registry", "registering"]
