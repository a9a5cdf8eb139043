"""How many parameters the files of a model hold, and how many of them work on one token.

Packed weights count as what they are packed from. What cannot be told is refused: a wrong size would be a wrong cost.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gym_stepwise_routing.generators.tokenizers import model_folder

__all__ = ["Counted", "counted_parameters"]

_EXPERT = re.compile(r"(?<![a-z_])experts\.|_exps\.")
_NO_WEIGHT = re.compile(
    r"\.(?:qzeros|scales|g_idx|absmax|quant_map|nested_absmax|nested_quant_map|weight_scale(?:_inv|_2)?|input_scale|"
    r"weight_zero_point|weight_shape|weight_g_idx)$|\.quant_state\.|\.weight\.(?:absmax|quant_map|nested_\w+|quant_state.*)$"
)
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts")
_UNPACKED = ("fp8", "fbgemm_fp8", "mxfp8")
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Counted:
    """Parameters of a model: all of them, and those that work on one token where these are fewer (None: all)."""

    total: int
    active: int | None = None


def counted_parameters(model: str) -> Counted | None:
    """Parameters in the weights of a local folder or file, or in the hub's cache; None where there are none (yet).

    Raises:
        ValueError: weights that cannot be counted: an adapter, several forms beside each other, a packing or a mixture
            that is not known. The message names ``parameters=`` as the way out.
    """
    path = Path(model)
    if path.is_file() and path.suffix == ".gguf":
        return _of_gguf(path)
    folder = model_folder(model)
    if folder is None:
        return None
    files = _files(folder, model)
    if not files:
        packed = sorted(folder.glob("*.gguf"))
        if len(packed) > 1:
            raise _unknown(model, f"{len(packed)} GGUF files")
        return _of_gguf(packed[0]) if packed else None
    config = json.loads((folder / "config.json").read_text("utf-8")) if (folder / "config.json").is_file() else {}
    text = config.get("text_config") or {}
    sizes = {name: size for file in files for name, size in _sizes(file, config, model)}
    return _mixture(sizes, {**text, **config}, model)


def _unknown(model: str, what: str) -> ValueError:
    return ValueError(
        f"model={model!r}: {what}: its parameters cannot be counted; allowed: parameters=NUMBER (and "
        "active_parameters=NUMBER for a mixture of experts), or plain weights"
    )


def _files(folder: Path, model: str) -> list[Path]:
    """The weights files of one form of the model."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return sorted({folder / file for file in json.loads(index.read_text("utf-8"))["weight_map"].values()})
    found = sorted(folder.glob("*.safetensors"))
    whole = [file for file in found if file.name == "model.safetensors"]
    if whole:
        return whole
    if any(file.name.startswith("adapter_") for file in found) or (folder / "adapter_config.json").is_file():
        raise _unknown(model, "an adapter without its model")
    if len(found) > 1:
        raise _unknown(model, f"{', '.join(file.name for file in found[:3])} without an index")
    return found


def _sizes(file: Path, config: Mapping[str, Any], model: str) -> Iterator[tuple[str, int]]:
    """Name and parameters of each tensor that holds any."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    packing = config.get("quantization_config") or {}
    for name, entry in header.items():
        if name == "__metadata__" or _NO_WEIGHT.search(name):
            continue
        size = math.prod(entry["shape"])
        if name.endswith((".qweight", ".weight_packed")):
            size = size * 32 // _bits(packing, model)
        elif entry["dtype"] == "U8" and packing.get("load_in_4bit"):
            size *= 2
        elif entry["dtype"] in ("I32", "U32", "U8", "I64") and packing.get("quant_method") not in _UNPACKED:
            raise _unknown(model, f"tensor {name!r} of integers, packed by {packing.get('quant_method')!r}")
        yield name, size


def _bits(packing: Mapping[str, Any], model: str) -> int:
    bits = packing.get("bits") or packing.get("w_bit")
    for group in (packing.get("config_groups") or {}).values():
        bits = bits or (group.get("weights") or {}).get("num_bits")
    if not isinstance(bits, int) or bits not in (2, 3, 4, 8):
        raise _unknown(model, f"weights packed by {packing.get('quant_method')!r} with {bits!r} bits")
    return bits


def _mixture(sizes: Mapping[str, int], config: Mapping[str, Any], model: str) -> Counted:
    total = sum(sizes.values())
    experts = sum(size for name, size in sizes.items() if _EXPERT.search(name))
    if not experts:
        return Counted(total)
    number = next((config[key] for key in _EXPERTS if isinstance(config.get(key), int)), None)
    chosen = next((config[key] for key in _CHOSEN if isinstance(config.get(key), int)), None)
    if not number or not chosen or chosen > number:
        raise _unknown(model, f"a mixture with {number!r} experts, {chosen!r} of them a token")
    return Counted(total, total - experts + experts * chosen // number)


def _of_gguf(path: Path) -> Counted:
    """Parameters by the header of a GGUF file (llama.cpp's format, versions 2 and 3)."""
    with path.open("rb") as stream:
        magic, version, tensors, entries = struct.unpack("<4sIQQ", stream.read(24))
        if magic != b"GGUF" or version not in (2, 3):
            raise _unknown(str(path), f"{magic!r} version {version}")
        values = {_text(stream): _value(stream, _number(stream, "I")) for _ in range(entries)}
        sizes = {}
        for _ in range(tensors):
            name = _text(stream)
            sizes[name] = math.prod(_number(stream, "Q") for _ in range(_number(stream, "I")))
            stream.read(12)  # type and offset
    family = values.get("general.architecture", "")
    experts = {
        "num_experts": values.get(f"{family}.expert_count"),
        "num_experts_per_tok": values.get(f"{family}.expert_used_count"),
    }
    return _mixture(sizes, experts, str(path))


def _number(stream: BinaryIO, form: str) -> Any:
    return struct.unpack(f"<{form}", stream.read(struct.calcsize(form)))[0]


def _text(stream: BinaryIO) -> str:
    return stream.read(_number(stream, "Q")).decode("utf-8", "replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(stream)
    if kind == _ARRAY:
        inner, count = _number(stream, "I"), _number(stream, "Q")
        if inner in _SCALARS:
            return stream.read(count * struct.calcsize(_SCALARS[inner])) and None
        return [_value(stream, inner) for _ in range(count)]
    return _number(stream, _SCALARS[kind])
