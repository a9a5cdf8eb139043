#!/usr/bin/env bash
# CTranslate2: what is forbidden changes the score of what is written, the temperature does not.
# version:  ctranslate2 4.8.5, a decoder of random weights
# expected: scores are the model's own log-probabilities; or they are those that the token was chosen by, temperature
#           included
# seen:     half of each: min_length, which forbids the end mark, raises the score of the same five tokens (-0.86 to -0.78);
#           sampling_temperature 2 leaves it as it is, to the last digit
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


plain = ask(max_length=5, include_prompt_in_result=False)
forced = ask(max_length=5, min_length=5, include_prompt_in_result=False)
hot = ask(max_length=5, sampling_topk=1, sampling_temperature=2.0, include_prompt_in_result=False)
assert plain[0] == forced[0] == hot[0]
assert forced[1] > plain[1] + 0.02
assert hot[1] == plain[1]
PYTHON
