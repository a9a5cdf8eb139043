"""One policy for every budget."""

from gym_stepwise_routing.agents.agent import AGENTS, Agent

AGENTS.register(
    Agent(
        name="all_budgets",
        title="AllBudgetsPPO",
        module="gym_stepwise_routing.agents.all_budgets",
        algorithm="AllBudgetsPPO",
        paper="arXiv 2605.25424",
        masks=True,
        budgets=True,
    )
)
