"""Parameters of packed weights, of several forms, and of mixtures of experts: counted right, or refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gym_stepwise_routing.costs.ledger import CACHED, KEPT, PREFILL
from gym_stepwise_routing.costs.models import Model, ModelPool, Price
from gym_stepwise_routing.costs.units import cost_weights
from gym_stepwise_routing.generators import GeneratorInfo
from gym_stepwise_routing.generators.specs import GeneratorSpec, pool_model
from gym_stepwise_routing.generators.weights import Counted, counted_parameters

INFO = GeneratorInfo("fake 1", "m", None, None, None, 2, None)


def write(file: Path, tensors: dict[str, tuple[str, list[int]]], config: dict[str, Any] | None = None) -> str:
    header = {name: {"dtype": kind, "shape": shape, "data_offsets": [0, 0]} for name, (kind, shape) in tensors.items()}
    data = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(data)) + data)
    if config is not None:
        (file.parent / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(file.parent)


GPTQ = {"a.qweight": ("I32", [16, 8]), "a.qzeros": ("I32", [1, 1]), "a.scales": ("F16", [1, 8]), "n": ("F16", [8])}


@pytest.mark.parametrize(
    ("tensors", "packing", "total"),
    [
        (GPTQ, {"quant_method": "gptq", "bits": 4}, 16 * 8 * 8 + 8),
        (GPTQ, {"quant_method": "awq", "w_bit": 4}, 16 * 8 * 8 + 8),
        (GPTQ, {"quant_method": "gptq", "bits": 8}, 16 * 8 * 4 + 8),
        (
            {"a.weight_packed": ("I32", [4, 2]), "a.weight_shape": ("I64", [2]), "a.weight_scale": ("F16", [4, 1])},
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 4}}}},
            4 * 2 * 8,
        ),
        (
            {"a.weight": ("U8", [50, 1]), "a.weight.absmax": ("U8", [3]), "n": ("F16", [8])},
            {"quant_method": "bitsandbytes", "load_in_4bit": True},
            108,
        ),
        (
            {"a.weight": ("F8_E4M3", [10, 10]), "a.weight_scale_inv": ("F32", [1, 1])},
            {"quant_method": "fp8"},
            100,
        ),
    ],
)
def test_packed_weights_count_as_what_they_are_packed_from(
    tmp_path: Path, tensors: dict[str, tuple[str, list[int]]], packing: dict[str, Any], total: int
) -> None:
    folder = write(tmp_path / "model.safetensors", tensors, {"quantization_config": packing})
    assert counted_parameters(folder) == Counted(total)


@pytest.mark.parametrize("packing", [{"quant_method": "gptq"}, {"quant_method": "new", "bits": 5}, {}])
def test_an_unknown_packing_is_refused_with_the_way_out(tmp_path: Path, packing: dict[str, Any]) -> None:
    folder = write(tmp_path / "model.safetensors", GPTQ, {"quantization_config": packing})
    with pytest.raises(ValueError, match="cannot be counted; allowed: parameters=NUMBER"):
        counted_parameters(folder)
    spec = GeneratorSpec.parse(f"transformers:{folder},parameters=7e9")
    assert pool_model(spec, "m", INFO).parameters == 7e9


def test_of_two_forms_of_the_weights_one_counts(tmp_path: Path) -> None:
    write(tmp_path / "model-00001-of-00001.safetensors", {"a": ("F16", [10])})
    write(tmp_path / "consolidated.safetensors", {"a": ("F16", [10])})
    with pytest.raises(ValueError, match=r"consolidated.safetensors, model-00001-of-.* without an index"):
        counted_parameters(str(tmp_path))
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert counted_parameters(str(tmp_path)) == Counted(10)


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    write(tmp_path / "adapter_model.safetensors", {"lora": ("F16", [10])})
    with pytest.raises(ValueError, match="an adapter without its model"):
        counted_parameters(str(tmp_path))


MIXTURE = {
    "embed": ("F16", [100]),
    "layers.0.mlp.shared_experts.up": ("F16", [20]),
    **{f"layers.0.mlp.experts.{number}.up": ("F16", [30]) for number in range(8)},
}


def test_of_a_mixture_total_and_active_count_and_flops_use_the_active(tmp_path: Path) -> None:
    folder = write(tmp_path / "model.safetensors", MIXTURE, {"num_local_experts": 8, "num_experts_per_tok": 2})
    assert counted_parameters(folder) == Counted(360, 180)
    model = pool_model(GeneratorSpec.parse(f"transformers:{folder}"), "m", INFO)
    assert (model.parameters, model.active_parameters) == (360.0, 180.0)
    assert cost_weights("flops", ModelPool([Model("small", 1.0), model])).max() == 360.0  # twice the active ones


def test_a_mixture_that_does_not_tell_its_experts_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "model.safetensors", MIXTURE, {})
    with pytest.raises(ValueError, match=r"a mixture with None experts.*active_parameters=NUMBER"):
        counted_parameters(folder)


def gguf(path: Path, tensors: dict[str, list[int]], values: dict[str, int | str]) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    data = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values))
    for key, value in values.items():
        data += text(key) + (
            struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value)
        )
    for name, shape in tensors.items():
        data += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 2, 0)
    path.write_bytes(data)
    return path


def test_a_gguf_file_counts_by_its_header(tmp_path: Path) -> None:
    plain = gguf(tmp_path / "a.gguf", {"token_embd.weight": [64, 10]}, {"general.architecture": "llama"})
    assert counted_parameters(str(plain)) == Counted(640)
    experts = {"general.architecture": "qwen3moe", "qwen3moe.expert_count": 4, "qwen3moe.expert_used_count": 1}
    mixed = gguf(tmp_path / "b.gguf", {"out": [10], "blk.0.ffn_up_exps.weight": [10, 4]}, experts)
    assert counted_parameters(str(mixed)) == Counted(50, 20)


def test_prices_and_speed_are_options_of_a_model() -> None:
    text = "openai:m,parameters=5,price_in=1,price_cached=0.1,price_out=4,price_cache_write=1.25,tokens_per_second=50"
    model = pool_model(GeneratorSpec.parse(text), "m", INFO)
    assert model.price == Price(1.0, 0.1, 4.0, model.price.date, "as stated by the options of the model", None, 1.25)
    assert model.latency is not None
    assert model.latency.decode == 0.02
    weights = cost_weights("dollars", ModelPool([Model("n", price=model.price), model]))[1]
    assert weights[[PREFILL, CACHED, KEPT]] == pytest.approx([1.25e-6, 0.1e-6, 4e-6])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("price_in=1", "price_in; allowed: price_in and price_out together"),
        ("price_in=1,price_out=2,provider=openai", "without provider"),
        ("price_in=-1,price_out=2", "input=-1.0; allowed: a finite number >= 0"),
        ("cache_block=0", "cache_block=0; allowed: an integer >= 1"),
        ("cache_smallest=-1", "cache_smallest=-1; allowed: an integer >= 0"),
        ("tokens_per_second=0", r"tokens_per_second=0.0; allowed: a number > 0"),
        ("hour=24,provider=deepseek", "hour=24; allowed: 0 to 23"),
        ("parameters=5,active_parameters=6", "active_parameters=6.0; allowed: above 0, up to parameters=5.0"),
    ],
)
def test_bad_prices_are_named(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool_model(GeneratorSpec.parse(f"openai:m,{options}"), "m", INFO)


def test_a_price_by_the_hour_is_fixed_and_told() -> None:
    pytest.importorskip("genai_prices")
    from gym_stepwise_routing.generators.prices import api_price

    day, night = (api_price("deepseek", "deepseek-chat", hour=hour) for hour in (10, 18))
    assert day.output > night.output
    assert "at 18:00 UTC, one of 2 prices by the hour" in night.source
    assert "UTC" not in api_price("openai", "gpt-4o-mini").source
