"""The transformers generator against the library's own greedy decoding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.generators import Completion, Failure, Generator, Request, StepRule, generate, read_steps

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from gym_stepwise_routing.generators.transformers_model import TransformersGenerator  # noqa: E402

STOP = StepRule().engine_stops
TOLERANCE = 2e-4
"""Natural-log tolerance between two ways of computing the same float32 log-probability."""


def prompt(question: str) -> str:
    return f"Question: What is {question}?\nAnswer:\n"


def runs(generator: Generator, requests: Sequence[Request]) -> list[Completion]:
    results = generate(generator, requests)
    assert all(isinstance(result, Completion) for result in results)
    return [result for result in results if isinstance(result, Completion)]


QUESTIONS = [prompt(f"{a} + {a + 1} + 2") for a in range(5)] + [prompt("1 + 12 + 3")]


def test_equals_the_librarys_greedy_decoding(tiny_model: Path) -> None:
    generator = TransformersGenerator(str(tiny_model))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    for text, mine in zip(QUESTIONS, runs(generator, [Request(q, "", 24) for q in QUESTIONS]), strict=True):
        inputs = tokenizer(text, return_tensors="pt")
        out = model.generate(
            **inputs,
            max_new_tokens=24,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            pad_token_id=0,
        )
        ids = out.sequences[0, inputs["input_ids"].shape[1] :]
        assert mine.text == tokenizer.decode(ids, skip_special_tokens=True)
        assert mine.tokens == len(ids)
        scores = torch.log_softmax(torch.stack(out.scores)[:, 0], dim=-1)
        expected = scores.gather(1, ids[:, None])[:, 0].numpy()
        np.testing.assert_allclose(mine.logprob, expected, atol=TOLERANCE)
        np.testing.assert_allclose(mine.top, scores.topk(8).values.numpy(), atol=10 * TOLERANCE)


def test_a_batch_gives_what_single_requests_give(tiny_model: Path) -> None:
    together = runs(TransformersGenerator(str(tiny_model)), [Request(q, "", 40, STOP) for q in QUESTIONS])
    for question, mine in zip(QUESTIONS, together, strict=True):
        (alone,) = runs(TransformersGenerator(str(tiny_model), cache_tokens=0), [Request(question, "", 40, STOP)])
        assert (mine.text, mine.tokens, mine.finish) == (alone.text, alone.tokens, alone.finish)
        np.testing.assert_allclose(mine.logprob, alone.logprob, atol=TOLERANCE)


def test_ties_do_not_hang_on_the_batch_or_on_how_many_log_probabilities_are_asked_for(tiny_model: Path) -> None:
    """In bfloat16 tokens tie, and ``topk`` names another one first with every k: greedy is the lowest id."""
    requests = [Request(q, "", 40, STOP) for q in QUESTIONS]
    one = runs(TransformersGenerator(str(tiny_model), dtype="bfloat16", batch_size=1), requests)
    assert sum(int((run.top[:, 0] == run.top[:, 1]).sum()) for run in one) >= 1, "no ties, so nothing is tested"
    for batch, asked in ((16, 8), (1, 2), (1, 20)):
        other = runs(
            TransformersGenerator(str(tiny_model), dtype="bfloat16", batch_size=batch, top_logprobs=asked), requests
        )
        assert [run.text for run in other] == [run.text for run in one]
    for run in one:
        np.testing.assert_array_equal(run.logprob, run.top[:, 0])  # tied tokens are equally likely, to the last bit


def test_tied_tokens_are_chosen_as_the_library_chooses_them(tiny_model: Path) -> None:
    generator = TransformersGenerator(str(tiny_model), dtype="bfloat16", batch_size=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    for text in QUESTIONS:
        (mine,) = runs(generator, [Request(text, "", 1)])
        inputs = tokenizer(text, return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=1, do_sample=False, pad_token_id=0)
        assert mine.text == tokenizer.decode(out[0, -1:], skip_special_tokens=True)


def test_what_has_ended_is_not_computed_on(tiny_model: Path) -> None:
    limits = [1, 1, 2, 8, 20, 20]
    generator = TransformersGenerator(str(tiny_model))
    sizes = []
    generator._model.register_forward_pre_hook(
        lambda _, __, inputs: sizes.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    together = runs(generator, [Request(q, "", limit) for q, limit in zip(QUESTIONS, limits, strict=True)])
    ended = [mine.tokens for mine in together]
    for question, limit, mine in zip(QUESTIONS, limits, together, strict=True):
        (alone,) = runs(TransformersGenerator(str(tiny_model), cache_tokens=0), [Request(question, "", limit)])
        assert (mine.text, mine.tokens, mine.finish) == (alone.text, alone.tokens, alone.finish)
        np.testing.assert_allclose(mine.logprob, alone.logprob, atol=TOLERANCE)
    for step, (rows, _) in enumerate(sizes):
        going = sum(tokens > step for tokens in ended)
        assert going <= rows <= max(4 * going / 3, 1) + 1e-9
    # what left early can be gone on from like the rest
    onward = [Request(q, mine.text, 4) for q, mine in zip(QUESTIONS, together, strict=True)]
    assert all(mine.prompt_tokens - (mine.cached_tokens or 0) <= 2 for mine in runs(generator, onward))


def test_a_trace_that_goes_on_reads_only_what_is_new(tiny_model: Path) -> None:
    rule = StepRule()
    cached, plain = TransformersGenerator(str(tiny_model)), TransformersGenerator(str(tiny_model), cache_tokens=0)
    first = runs(cached, [Request(q, "", 40, STOP) for q in QUESTIONS])
    steps = [read_steps(run, rule, [])[0] for run in first]
    onward = [Request(q, rule.prefix([s.text]), 40, STOP) for q, s in zip(QUESTIONS, steps, strict=True)]
    for with_cache, without in zip(runs(cached, onward), runs(plain, onward), strict=True):
        assert with_cache.text == without.text
        np.testing.assert_allclose(with_cache.logprob, without.logprob, atol=TOLERANCE)
        assert without.cached_tokens == 0
        assert with_cache.cached_tokens is not None
        assert with_cache.prompt_tokens - with_cache.cached_tokens <= 2


def test_shared_heads_are_read_once(tiny_model: Path) -> None:
    generator = TransformersGenerator(str(tiny_model))
    runs(generator, [Request(prompt("3 + 3 + 3"), "", 5)])
    (run,) = runs(generator, [Request(prompt("9 + 1 + 4"), "", 5)])
    assert run.cached_tokens is not None
    assert run.cached_tokens >= len("Question: What is") // 4


def test_pieces_join_to_the_text_and_what_ended_it(tiny_model: Path) -> None:
    for run in runs(TransformersGenerator(str(tiny_model)), [Request(q, "", 40, STOP) for q in QUESTIONS]):
        assert len(run.pieces) == run.tokens == len(run.logprob) == len(run.top)
        assert "".join(run.pieces).startswith(run.text)
        assert not any(stop in run.text for stop in STOP)


def test_characters_that_span_tokens_come_whole(tiny_model: Path) -> None:
    from gym_stepwise_routing.generators.tokenizers import pieces_of

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    ids = tokenizer("é→🙂!")["input_ids"]
    pieces = pieces_of(tokenizer, ids)
    assert len(pieces) == len(ids) > 4
    assert "".join(pieces) == "é→🙂!"
    assert "\ufffd" not in "".join(pieces)


def test_a_prompt_over_the_context_is_a_failure_and_others_go_on(tiny_model: Path) -> None:
    generator = TransformersGenerator(str(tiny_model))
    long, fine = generate(generator, [Request("1 + 2 = 3. " * 400, "", 5), Request(QUESTIONS[0], "", 5)])
    assert isinstance(long, Failure)
    assert "context is 512" in long.reason
    assert not long.retryable
    assert isinstance(fine, Completion)


def test_a_run_ends_at_the_context(tiny_model: Path) -> None:
    generator = TransformersGenerator(str(tiny_model))
    (count,) = generator.count(["1 " * 250])
    (run,) = runs(generator, [Request("1 " * 250, "", 500)])
    assert run.finish == "stop" or count + run.tokens <= 512


def test_a_batch_that_does_not_fit_the_memory_comes_back_as_failures(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = TransformersGenerator(str(tiny_model))

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    monkeypatch.setattr(generator._model, "forward", full)
    failures = generate(generator, [Request(q, "", 5) for q in QUESTIONS])
    assert all(isinstance(failure, Failure) and "out of memory" in failure.reason for failure in failures)
    monkeypatch.undo()
    (run,) = runs(generator, [Request(QUESTIONS[0], "", 5)])
    assert run.tokens == 5


def test_chat_wraps_the_prompt_in_the_template(tiny_model: Path) -> None:
    raw, chat = TransformersGenerator(str(tiny_model)), TransformersGenerator(str(tiny_model), chat=True)
    assert chat.count([QUESTIONS[0]])[0] > raw.count([QUESTIONS[0]])[0]
    (run,) = runs(chat, [Request(QUESTIONS[0], "", 3)])
    assert run.prompt_tokens == chat.count([QUESTIONS[0]])[0]


def test_info_tells_what_is_needed_to_repeat(tiny_model: Path) -> None:
    info = TransformersGenerator(str(tiny_model)).info()
    assert info.backend.startswith("transformers ")
    assert info.parameters is not None
    assert info.weights_sha256 is not None
    assert len(info.weights_sha256) == 64
    assert (info.context, info.top_logprobs) == (512, 8)
    assert dict(info.settings) == {"dtype": "float32", "batch": "16", "device": "cpu", "chat": "False"}


def test_unknown_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="no-such-model"):
        TransformersGenerator(str(tmp_path / "no-such-model"))


def test_real_model_gives_steps_with_confidence() -> None:
    folder = os.environ.get("GSR_MODELS")
    if folder is None:
        pytest.skip("needs GSR_MODELS, a folder with smollm2-135m-instruct-q4_1")
    generator = TransformersGenerator(str(Path(folder) / "smollm2-135m-instruct-q4_1"))
    from gym_stepwise_routing.generators.prompts import load_prompt

    text = load_prompt("gsm8k-4shot").fill("Ann has 3 apples and buys 4 more. How many does she have?")
    (run,) = runs(generator, [Request(text, "", 60, STOP)])
    steps = read_steps(run, StepRule(), [])
    assert steps[0].confidence is not None
    assert 0 < steps[0].confidence.top1_mean <= 1
