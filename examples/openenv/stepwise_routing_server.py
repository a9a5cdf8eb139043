"""The OpenEnv server that ``openenv.yaml`` names: ``uvicorn stepwise_routing_server:app`` in this folder.

Environment variables: ``ROUTING_SOURCE`` (bank, preset or ``hf://owner/name``), ``ROUTING_SPLIT``, ``ROUTING_MODE``,
``ROUTING_COST_UNIT``, and ``ROUTER_PARAMETERS`` where the router's own tokens are to be charged.
"""

from __future__ import annotations

import os

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.envs.openenv_routing import make_app
from gym_stepwise_routing.game.config import DEFAULT_BANK

_PARAMETERS = os.environ.get("ROUTER_PARAMETERS")
app = make_app(
    os.environ.get("ROUTING_SOURCE", DEFAULT_BANK),
    split=os.environ.get("ROUTING_SPLIT", "train"),
    mode=os.environ.get("ROUTING_MODE", "route"),
    cost_unit=os.environ.get("ROUTING_COST_UNIT", "flops"),
    router=None if _PARAMETERS is None else Model("router", parameters=float(_PARAMETERS)),
)
