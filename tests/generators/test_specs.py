"""Models as they are named on the command line."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from gym_stepwise_routing.generators.generator import GeneratorInfo
from gym_stepwise_routing.generators.specs import GeneratorSpec, pool_model
from gym_stepwise_routing.generators.tokenizers import hub_settings, weights_sha256
from gym_stepwise_routing.generators.weights import Counted, counted_parameters

INFO = GeneratorInfo("fake 1", "m", None, "ab" * 32, None, 8, None)


def test_a_full_spec() -> None:
    spec = GeneratorSpec.parse("vllm:Qwen/Qwen2.5-7B,name=large,parameters=7.6e9,chat=true,context=4096,licence=MIT")
    assert spec == GeneratorSpec(
        backend="vllm",
        model="Qwen/Qwen2.5-7B",
        name="large",
        parameters=7.6e9,
        chat=True,
        context=4096,
        licence="MIT",
    )


def test_a_server_with_its_address() -> None:
    spec = GeneratorSpec.parse("openai:small,url=http://127.0.0.1:8000/v1,continuation=prefill")
    assert (spec.model, spec.url, spec.continuation) == ("small", "http://127.0.0.1:8000/v1", "prefill")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model", "allowed: BACKEND:MODEL"),
        ("ollama:x", "backend='ollama'"),
        ("vllm:", "model=''"),
        ("vllm:x,size=3", "model option='size'"),
        ("vllm:x,chat", "allowed: chat=VALUE"),
        ("vllm:x,chat=yes", "chat='yes'"),
        ("vllm:x,parameters=big", "parameters='big'"),
        ("vllm:x,context=2k", "context='2k'"),
        ("vllm:x,dtype=foo", "dtype='foo'"),
        ("openai:x,continuation=psychic", "continuation='psychic'"),
        ("openai:x,chat=true", "'chat' with openai; allowed: with .*transformers, vllm"),
        ("transformers:x,url=http://y", "'url' with transformers; allowed: with openai"),
        ("transformers:x,context=4096", "'context' with transformers"),
        ("transformers:x,batch=0", "batch=0"),
    ],
)
def test_bad_specs_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneratorSpec.parse(text)


def test_repeatable_is_float32_and_nothing_else() -> None:
    spec = GeneratorSpec.parse("vllm:x,batch=8,context=512")
    assert spec.repeatable() == GeneratorSpec.parse("vllm:x,batch=8,context=512,dtype=float32")
    assert spec.repeatable().repeatable() == spec.repeatable()
    with pytest.raises(ValueError, match="repeatable=True with dtype='bfloat16'; allowed: float32, or none"):
        GeneratorSpec.parse("transformers:x,dtype=bfloat16").repeatable()
    with pytest.raises(ValueError, match=r"repeatable=True with openai:x.*allowed: with transformers, vllm"):
        GeneratorSpec.parse("openai:x").repeatable()


def safetensors(folder: Path, **shapes: list[int]) -> None:
    header = {"__metadata__": {"format": "pt"}} | {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()
    }
    data = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(data)) + data)


def test_parameters_are_counted_from_the_headers(tmp_path: Path) -> None:
    safetensors(tmp_path, embedding=[10, 4], norm=[4])
    assert counted_parameters(str(tmp_path)) == Counted(44)
    digest = weights_sha256(str(tmp_path))
    assert digest is not None
    assert len(digest) == 64


def test_a_hub_name_has_no_local_weights() -> None:
    assert counted_parameters("Qwen/Qwen2.5-7B") is None
    assert weights_sha256("Qwen/Qwen2.5-7B") is None


def test_a_hub_name_is_recorded_with_the_commit_and_hash_of_its_cached_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_download = pytest.importorskip("huggingface_hub.file_download")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(file_download.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    snapshot = repository / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c" * 40)
    (snapshot / "config.json").write_text("{}")
    safetensors(snapshot, embedding=[10, 4])
    assert hub_settings("some/model") == (("hub", "some/model"), ("revision", "c" * 40))
    assert weights_sha256("some/model") == weights_sha256(str(snapshot))
    assert counted_parameters("some/model") == Counted(40)
    assert hub_settings(str(snapshot)) == ()
    assert hub_settings("another/model") == (("hub", "another/model"), ("revision", "unknown"))


def test_what_the_user_states_comes_first(tmp_path: Path) -> None:
    safetensors(tmp_path, embedding=[10, 4])
    counted = pool_model(GeneratorSpec(backend="vllm", model=str(tmp_path)), "m", INFO)
    stated = pool_model(GeneratorSpec(backend="vllm", model=str(tmp_path), parameters=7e9, licence="MIT"), "m", INFO)
    assert (counted.parameters, counted.licence) == (40.0, None)
    assert (stated.parameters, stated.licence, stated.weights_sha256) == (7e9, "MIT", "ab" * 32)


def test_a_closed_model_has_no_size() -> None:
    assert pool_model(GeneratorSpec(backend="openai", model="gpt"), "gpt", INFO).parameters is None
