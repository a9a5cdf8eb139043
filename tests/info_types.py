"""Types of the values of every info."""

from __future__ import annotations

import numpy as np

INFOS = {
    "cost": np.float64,
    "raw_cost": np.float64,
    "spent": np.float64,
    "budget": np.float64,
    "problem": np.int64,
    "ledger": np.int64,
    "action_mask": np.bool_,
    "bankrupt": np.uint8,
    "failed": np.uint8,
    "simulated": np.uint8,
    "source": np.uint8,
    "truncated_by": np.uint8,
}
