"""How far routers are from the known optimum of a simulator."""
