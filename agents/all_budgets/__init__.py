"""One policy for every budget: the budget is observed, and every budget has its own multiplier."""

from gym_stepwise_routing.agents.all_budgets.all_budgets_ppo import AllBudgetsPPO

__all__ = ["AllBudgetsPPO"]
