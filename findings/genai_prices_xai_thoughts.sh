#!/usr/bin/env bash
# genai-prices leaves the thoughts of xAI's models out of the bill, unless the kind of answer is named.
# version:  genai-prices 0.2.3
# expected: 400 + 20 + 980 = 1,400 tokens, so 1,000 of output, and 300 of the input from the cache; or an error that asks
#           for the kind of answer, as for the same usage from OpenAI
# seen:     20 of output and none from the cache without api_flavor="chat", which costs a tenth of what is asked; no warning
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check genai-prices==0.2.3
"$work/venv/bin/python" - <<'PYTHON'
from genai_prices import extract_usage

usage = {
    "prompt_tokens": 400,
    "completion_tokens": 20,
    "total_tokens": 1400,
    "prompt_tokens_details": {"cached_tokens": 300},
    "completion_tokens_details": {"reasoning_tokens": 980},
}


def billed(**options):
    found = extract_usage({"model": "grok-4", "usage": usage}, provider_id="x-ai", **options)
    price = float(found.calc_price().total_price)
    print(options or "no api_flavor", found.usage, f"{price:.6f} dollars")
    return found.usage.output_tokens, found.usage.cache_read_tokens, price


output, cached, price = billed()
true_output, true_cached, true_price = billed(api_flavor="chat")
assert (output, cached) == (20, 0)
assert (true_output, true_cached) == (1000, 300)
assert 0.09 < price / true_price < 0.11
try:
    extract_usage({"model": "gpt-5-mini", "usage": usage}, provider_id="openai")
except ValueError as error:
    print("the same from OpenAI:", error)
else:
    raise AssertionError("OpenAI's answers are taken without api_flavor too")
PYTHON
