"""Studies of the agents: each module is one command that writes a table and a figure, simulated results marked."""
