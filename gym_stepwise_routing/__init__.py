"""Stepwise LLM routing as a reinforcement-learning benchmark: which model writes the next reasoning step?

Importing the package registers ``StepwiseRouting-v0`` with Gymnasium.
"""

from gym_stepwise_routing.errors import BankError, NotApplicableError, PriceError
from gym_stepwise_routing.registration import ENV_ID, register
from gym_stepwise_routing.types import VERSION

__version__ = VERSION
__all__ = ["ENV_ID", "BankError", "NotApplicableError", "PriceError", "__version__", "register"]

register()
