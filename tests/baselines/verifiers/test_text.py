"""The text verifier with an encoder of a few thousand weights, made on the spot."""

from __future__ import annotations

import numpy as np
import pytest
from bank_files import few_bank

pytest.importorskip("transformers", reason="text verifiers need the llm extra")

from gym_stepwise_routing.accounting import Verifier
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.constant import AlwaysSmallest
from gym_stepwise_routing.baselines.verifiers.attach import with_verifier
from gym_stepwise_routing.baselines.verifiers.text import Judged, TextVerifier, bank_steps, text_scores
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game import Game
from gym_stepwise_routing.ledger import VERIFIER
from gym_stepwise_routing.sources.bank import BankSource


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "step", "then", *map(str, range(10))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    import torch

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def steps():
    rng = np.random.default_rng(0)
    good = rng.random(120) < 0.5
    texts = [Judged(f"step {rng.integers(10)} then", "good" if g else "bad") for g in good]
    return texts, good.astype(np.float64)


@pytest.mark.parametrize("layers", [0, 1])
def test_it_learns_to_read(encoder, steps, layers):
    texts, labels = steps
    verifier = TextVerifier(encoder, layers=layers, epochs=15, learning_rate=2e-3, max_tokens=16)
    verifier.fit(texts[:80], labels[:80], np.ones(80))
    scores = verifier.predict(texts[80:])
    assert ((scores > 0.5) == (labels[80:] > 0.5)).mean() > 0.9
    assert ((scores >= 0) & (scores <= 1)).all()


def test_each_training_starts_from_the_pretrained_encoder(encoder, steps):
    texts, labels = steps
    verifier = TextVerifier(encoder, layers=1, epochs=2, learning_rate=1e-3)
    first = verifier.fit(texts, labels, np.ones(120)).predict(texts)
    verifier.fit(texts, 1 - labels, np.ones(120))
    np.testing.assert_allclose(verifier.fit(texts, labels, np.ones(120)).predict(texts), first, atol=1e-6)


def test_weights_decide_what_counts(encoder):
    texts = [Judged("step", "good")] * 40
    labels = np.repeat([1.0, 0.0], 20)
    weight = np.where(labels > 0, 1.0, 1e-9)
    verifier = TextVerifier(encoder, layers=0, epochs=30, learning_rate=5e-3).fit(texts, labels, weight)
    assert verifier.predict(texts[:1])[0] > 0.8


def test_the_ledger_knows_its_size(encoder):
    from transformers import BertModel

    verifier = TextVerifier(encoder, layers=0)
    model = verifier.as_model()
    assert model.parameters == sum(p.numel() for p in BertModel.from_pretrained(encoder).parameters()) + 32 + 1
    assert model.price is None
    assert not model.prefix_cache


def test_reading_again_is_charged():
    """Played on the bundled bank: more than three times what a verifier with a prefix cache reads."""
    bank = Bank.open("gsm8k-qwen2.5-coder")
    scores = np.full(len(bank.nodes), 0.5)
    read = []
    for cache in (True, False):
        scored = with_verifier(bank, Verifier("encoder", parameters=2e7, prefix_cache=cache), scores)
        game = Game(BankSource(scored), split="test", mode="regenerate", observation=["progress", "verifier"])
        read.append(play(AlwaysSmallest(), game).ledger[:, -1, VERIFIER].mean())
    assert read[1] > 3 * read[0]


def test_steps_of_a_bank_stand_after_question_and_earlier_steps():
    bank = Bank.open("gsm8k-qwen2.5-coder")
    questions = [f"Q{problem}" for problem in range(len(bank.problems))]
    steps = bank_steps(bank, questions)
    row = next(row for row in steps if bank.depth[row] == 2)
    parent = int(bank.nodes.parent[row])
    assert steps[row].step == bank.text(row)
    assert steps[row].before == f"Q{bank.nodes.problem[row]}\n{bank.text(parent)}"
    with pytest.raises(NotApplicableError, match="holds no step texts"):
        bank_steps(Bank.open("gsm8k-mixtral-gpt4"), ["Q"] * 1319)


def test_a_bank_is_scored_whole(encoder):
    bank = Bank.open(few_bank())
    questions = [f"{problem % 10}" for problem in range(len(bank.problems))]
    verifier = TextVerifier(encoder, layers=0, epochs=1, max_tokens=16, batch=256)
    scores = text_scores(bank, questions, verifier)
    written = bank.depth > 0
    assert np.isfinite(scores[written]).all()
    assert np.isnan(scores[~written]).all()


@pytest.mark.parametrize("wrong", [{"layers": -1}, {"epochs": 0}, {"batch": 0}, {"max_tokens": 4}, {"layers": 3}])
def test_arguments_out_of_range(encoder, wrong):
    with pytest.raises(ValueError, match="allowed: "):
        TextVerifier(encoder, **wrong)
