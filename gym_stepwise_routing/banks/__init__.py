"""Banks: recorded routing trees on disk (Parquet and a manifest) and in memory (arrays)."""

from gym_stepwise_routing.banks.bank import Bank, bundled_banks
from gym_stepwise_routing.banks.manifest import Manifest, Recipe

__all__ = ["Bank", "Manifest", "Recipe", "bundled_banks"]
