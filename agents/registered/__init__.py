"""The agents, each registered in a file that needs nothing that training needs."""
