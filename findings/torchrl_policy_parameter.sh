#!/usr/bin/env bash
# TorchRL 0.14.1: what EnvBase.rollout hands to a plain function depends on the name of the function's parameter.
# Expected: a policy gets the TensorDict of the step, whatever it calls it.
# Seen: a parameter named td (or tensordict) gets the TensorDict; under any other name the function gets the bare tensor
# of the observations, one argument for each of them, and what it returns is taken for the action.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0
"$folder/venv/bin/pip" install -q --disable-pip-version-check torchrl==0.14.1 tensordict==0.14.3 gymnasium==1.4.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torchrl.envs import GymEnv

handed = {}


def named_td(td):
    handed["td"] = type(td).__name__
    return td.set("action", torch.tensor([1, 0]))


def named_step(step):
    handed["step"] = type(step).__name__
    return torch.tensor([1, 0])


for policy in (named_td, named_step):
    GymEnv("CartPole-v1").rollout(2, policy=policy)
for name, kind in handed.items():
    print(f"a policy with a parameter named {name} gets a {kind}")
sys.exit(0 if handed == {"td": "TensorDict", "step": "Tensor"} else "TorchRL's behaviour has changed")
PYTHON
