"""Banks: recorded routing trees on disk (Parquet and a manifest) and in memory (arrays)."""

from gym_stepwise_routing.banks.bank import BANKS, Bank, BundledBank
from gym_stepwise_routing.banks.manifest import Manifest, Recipe

__all__ = ["BANKS", "Bank", "BundledBank", "Manifest", "Recipe"]
