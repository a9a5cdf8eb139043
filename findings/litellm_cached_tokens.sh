#!/usr/bin/env bash
# Cached prompt tokens are free where LiteLLM's table knows no price for them, although the provider gives no discount.
# version:  litellm 1.82.6, its own copy of the price table
# expected: without a price of their own they cost what fresh input costs: 10,000 prompt tokens cost the same either way
# seen:     gpt-4 with 9,000 of 10,000 tokens cached: 0.036 dollars instead of 0.306; most chat models of the table lack that price
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check litellm==1.82.6
"$work/venv/bin/python" - <<'PYTHON'
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from litellm.types.utils import ModelResponse, PromptTokensDetailsWrapper, Usage


def cost(model, cached):
    details = PromptTokensDetailsWrapper(cached_tokens=cached)
    usage = Usage(prompt_tokens=10_000, completion_tokens=100, total_tokens=10_100, prompt_tokens_details=details)
    return litellm.completion_cost(completion_response=ModelResponse(model=model, usage=usage), model=model)


for model in ("gpt-4", "gpt-3.5-turbo", "groq/llama-3.3-70b-versatile"):
    listed = litellm.model_cost[model]
    assert "cache_read_input_token_cost" not in listed
    print(f"{model}: {cost(model, 0):.6f} dollars fresh, {cost(model, 9_000):.6f} with 9,000 tokens cached")
    expected_if_free = 1_000 * listed["input_cost_per_token"] + 100 * listed["output_cost_per_token"]
    assert abs(cost(model, 9_000) - expected_if_free) < 1e-12
chat = [entry for entry in litellm.model_cost.values() if entry.get("mode") == "chat" and entry.get("input_cost_per_token")]
print(f"{sum(not entry.get('cache_read_input_token_cost') for entry in chat)} of {len(chat)} priced chat models lack it")
PYTHON
