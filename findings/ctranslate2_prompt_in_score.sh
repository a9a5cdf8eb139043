#!/usr/bin/env bash
# CTranslate2: with the prompt in the result, the score is divided by the prompt's tokens too, which it is no sum over.
# version:  ctranslate2 4.8.5, a decoder of random weights
# expected: the score of an answer is the mean log-probability of its tokens, with or without the prompt in front
# seen:     the sum over the three new tokens, divided by 3 without the prompt, by 5 with it
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ctranslate2==4.8.5 numpy==2.4.6
"$work/venv/bin/python" - 2> "$work/log" <<'PYTHON' || { tail -n 5 "$work/log"; exit 1; }
import tempfile

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(37))]
width, rng = 32, np.random.default_rng(0)
spec = transformer_spec.TransformerDecoderModelSpec.from_config(
    2, 4, pre_norm=True, activation=common_spec.Activation.RELU
)


def linear(layer, rows, columns):
    layer.weight = (0.6 * rng.standard_normal((rows, columns))).astype(np.float32)
    layer.bias = np.zeros(rows, np.float32)


def norm(layer):
    layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)


decoder = spec.decoder
decoder.scale_embeddings = False
decoder.embeddings.weight = rng.standard_normal((len(words), width)).astype(np.float32)
norm(decoder.layer_norm)
for layer in decoder.layer:
    norm(layer.self_attention.layer_norm)
    linear(layer.self_attention.linear[0], 3 * width, width)
    linear(layer.self_attention.linear[1], width, width)
    norm(layer.ffn.layer_norm)
    linear(layer.ffn.linear_0, 2 * width, width)
    linear(layer.ffn.linear_1, width, 2 * width)
linear(decoder.projection, len(words), width)
decoder.position_encodings.encodings = (0.1 * rng.standard_normal((64, width))).astype(np.float32)
spec.register_vocabulary(words)
spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
folder = tempfile.mkdtemp()
spec.validate()
spec.optimize()
spec.save(folder)
generator = ctranslate2.Generator(folder, intra_threads=1)
prompt = ["<s>", "w1", "w2"]


def ask(**settings):
    answer = generator.generate_batch([prompt], return_scores=True, **settings)[0]
    print(settings, answer.sequences[0], round(answer.scores[0], 4))
    return answer.sequences[0], answer.scores[0]


bare = ask(max_length=3, include_prompt_in_result=False)
whole = ask(max_length=5, include_prompt_in_result=True)
(known,) = generator.score_batch([prompt + bare[0]])
new = known.log_probs[len(prompt) - 1 :]
print("log-probabilities of the new tokens", [round(value, 4) for value in new])
assert whole[0] == prompt[1:] + bare[0]
assert abs(bare[1] - sum(new) / 3) < 1e-4
assert abs(whole[1] - sum(new) / 5) < 1e-4
PYTHON
