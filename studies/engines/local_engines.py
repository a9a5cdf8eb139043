"""Engines that the package has no backend for, as backends of this study: llama.cpp, ONNX Runtime and OpenVINO GenAI.

Each takes a model in a form of its own: a GGUF file, or a folder that its exporter wrote. Importing this module
registers them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gym_stepwise_routing.generators.generator import Completion, Failure, GeneratorInfo, Request
from gym_stepwise_routing.generators.openai_server import OpenAIGenerator
from gym_stepwise_routing.generators.specs import GENERATORS, Backend, GeneratorSpec

__all__ = ["LlamaCpp", "OnnxRuntime", "OpenVino"]

_CONTEXT = 2048


class LlamaCpp(OpenAIGenerator):
    """llama.cpp's server of the package xllamacpp, in this process, one thread.

    Args:
        spec: ``model`` is a GGUF file, whose name says its number format, in which activations are read as well;
            ``dtype`` is the number format of keys and values, without flash attention, which would round float32 ones
            to float16 all the same; None: llama.cpp's own settings, flash attention with float16. ``batch``: requests
            at a time.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        import xllamacpp

        self.batch = spec.batch or 1
        kept = f"keys and values {spec.dtype}" if spec.dtype else "its own choice"
        self.dtype = f"{Path(spec.model).stem}, {kept}"
        kinds = xllamacpp.ggml_type
        kind = {"float16": kinds.GGML_TYPE_F16, "float32": kinds.GGML_TYPE_F32, "bfloat16": kinds.GGML_TYPE_BF16}
        parameters = xllamacpp.CommonParams()
        parameters.model.path = spec.model
        parameters.n_parallel, parameters.n_ctx = self.batch, _CONTEXT * self.batch
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        if spec.dtype is not None:
            parameters.cache_type_k = parameters.cache_type_v = kind[spec.dtype]
            parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.port = 0
        self._server = xllamacpp.Server(parameters)
        super().__init__(
            Path(spec.model).stem,
            base_url=f"{self._server.listening_address}/v1",
            api_key="none",
            name=spec.name,
            timeout=600.0,
            concurrency=self.batch,
        )

    def info(self) -> GeneratorInfo:
        """The version of the package, and the number format of keys and values."""
        import importlib.metadata

        version = importlib.metadata.version("xllamacpp")
        settings = (("dtype", self.dtype), ("batch", str(self.batch)))
        return GeneratorInfo(f"xllamacpp {version}", self.name, None, None, _CONTEXT, 8, None, settings)


class _OneByOne:
    """A generator that answers one request after the other, without log-probabilities."""

    def __init__(self, spec: GeneratorSpec) -> None:
        from tokenizers import Tokenizer

        if spec.batch not in (None, 1):
            raise ValueError(f"batch={spec.batch!r} with {spec.backend}; allowed: 1")
        self.name = spec.pool_name
        self._tokenizer = Tokenizer.from_file(str(Path(spec.model) / "tokenizer.json"))
        self._waiting: list[tuple[Hashable, Request]] = []

    @property
    def pending(self) -> int:
        """Requests submitted and not yet returned."""
        return len(self._waiting)

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt."""
        return [len(self._tokenizer.encode(prompt).ids) for prompt in prompts]

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request."""
        self._waiting.append((key, request))

    def poll(self) -> list[tuple[Any, Completion | Failure]]:
        """Answer the oldest request."""
        key, request = self._waiting.pop(0)
        prompt = self._tokenizer.encode(request.prompt + request.prefix).ids
        written, ended = self._write(prompt, request)
        text = self._tokenizer.decode(written, skip_special_tokens=True)
        cuts = [at for at in (text.find(stop) for stop in request.stop) if at >= 0]
        return [
            (
                key,
                Completion(
                    text=text[: min(cuts)] if cuts else text,
                    tokens=len(written),
                    pieces=(),
                    logprob=np.zeros(0),
                    top=np.zeros((0, 0)),
                    finish="stop" if cuts or ended else "length",
                    prompt_tokens=len(prompt),
                ),
            )
        ]

    def cancel(self, key: Hashable) -> None:
        """Drop a request."""
        self._waiting = [entry for entry in self._waiting if entry[0] != key]

    def close(self) -> None:
        """Nothing is held."""

    def _write(self, prompt: list[int], request: Request) -> tuple[list[int], bool]:
        """Tokens after a prompt, and whether the model ended the text."""
        raise NotImplementedError


class OnnxRuntime(_OneByOne):
    """ONNX Runtime GenAI on a CPU; what a request shares with the one before is not read again."""

    def __init__(self, spec: GeneratorSpec) -> None:
        import onnxruntime_genai as genai

        super().__init__(spec)
        self._genai = genai
        self._model = genai.Model(spec.model)
        self._end = set(genai.Tokenizer(self._model).eos_token_ids)
        self._run: Any = None
        self._read: list[int] = []

    def info(self) -> GeneratorInfo:
        """The version of the package; its number format is that of the exported folder."""
        version = f"onnxruntime-genai {self._genai.__version__}"
        return GeneratorInfo(version, self.name, None, None, _CONTEXT, 0, None, (("dtype", "float32"), ("batch", "1")))

    def _write(self, prompt: list[int], request: Request) -> tuple[list[int], bool]:
        shared = _shared(self._read, prompt[:-1])
        if self._run is None or self._run.is_done() or shared == 0:
            parameters = self._genai.GeneratorParams(self._model)
            parameters.set_search_options(do_sample=False, max_length=_CONTEXT, batch_size=1)
            self._run, shared = self._genai.Generator(self._model, parameters), 0
        elif shared < len(self._read):
            self._run.rewind_to(shared)
        self._run.append_tokens(np.array(prompt[shared:], dtype=np.int32))
        written: list[int] = []
        while len(written) < request.max_tokens:
            self._run.generate_next_token()
            written.append(int(self._run.get_next_tokens()[0]))
            if written[-1] in self._end:
                break
            if any(stop in self._tokenizer.decode(written) for stop in request.stop):
                break
        self._read = prompt + written
        return written, written[-1] in self._end


class OpenVino(_OneByOne):
    """OpenVINO GenAI on a CPU with prefix caching.

    Args:
        spec: ``model`` is a folder with ``tokenizer.json`` and a GGUF file; ``dtype`` is that of the arithmetic and of
            keys and values; None: as OpenVINO sets them by itself.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        import openvino_genai as genai

        super().__init__(spec)
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching, scheduler.cache_size = True, 1
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": 1}
        self.dtype = spec.dtype
        if spec.dtype is not None:
            short = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[spec.dtype]
            options |= {"INFERENCE_PRECISION_HINT": short, "KV_CACHE_PRECISION": short}
        self._genai = genai
        (file,) = Path(spec.model).glob("*.gguf")
        self._pipeline = genai.LLMPipeline(str(file), "CPU", scheduler_config=scheduler, **options)

    def info(self) -> GeneratorInfo:
        """The version of the package."""
        import importlib.metadata

        version = f"openvino-genai {importlib.metadata.version('openvino-genai')}"
        settings = (("dtype", self.dtype or "its own choice"), ("batch", "1"))
        return GeneratorInfo(version, self.name, None, None, _CONTEXT, 0, None, settings)

    def _write(self, prompt: list[int], request: Request) -> tuple[list[int], bool]:
        import openvino

        config = self._genai.GenerationConfig()
        config.max_new_tokens, config.do_sample = request.max_tokens, False
        config.repetition_penalty = 1.0
        config.stop_strings, config.include_stop_str_in_output = set(request.stop), True
        config.apply_chat_template = False
        ids = np.array([prompt], dtype=np.int64)
        inputs = self._genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        written = [int(token) for token in self._pipeline.generate(inputs, config).tokens[0]]
        return written, len(written) < request.max_tokens


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))


def register_engines() -> None:
    """Make the engines known to ``GeneratorSpec``. Importing this module does not: other users of the list share it."""
    for backend in (
        Backend(name="llama.cpp", title="llama.cpp's server in this process", build=LlamaCpp, options=("dtype",)),
        Backend(name="onnxruntime", title="ONNX Runtime GenAI", build=OnnxRuntime),
        Backend(name="openvino", title="OpenVINO GenAI", build=OpenVino, options=("dtype",)),
    ):
        GENERATORS.register(backend)
