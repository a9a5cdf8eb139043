#!/usr/bin/env bash
# A question that stands in a route's own examples goes to another route by the default settings of semantic-router.
# version:  semantic-router 1.1.1 (IndexedRouter, aggregation "mean", top_k 5)
# expected: similarity 1.0 to one of the examples of "large" wins over 0.8 to those of "small"
# seen:     "small", 0.8 against a mean over the near and the far examples of "large"; a broad route loses to a narrow one
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check semantic-router==1.1.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from semantic_router import IndexedRouter, Route
from semantic_router.encoders import DenseEncoder

VECTORS = {"proof": (1, 0, 0), "sonnet": (0, 0, 1), "plan": (0, 0.2, 1), "sum": (0.8, 0.6, 0)}


class Encoder(DenseEncoder):
    name: str = "unit vectors"

    def __call__(self, docs):
        return [(np.array(VECTORS[doc], float) / np.linalg.norm(VECTORS[doc])).tolist() for doc in docs]


routes = [Route(name="large", utterances=["proof", "sonnet", "plan"]), Route(name="small", utterances=["sum"])]
default = IndexedRouter(encoder=Encoder(), routes=routes)("proof")
largest = IndexedRouter(encoder=Encoder(), routes=routes, aggregation="max")("proof")
print(f"default: {default}\nmax: {largest}")
assert (default.name, largest.name) == ("small", "large")
PYTHON
