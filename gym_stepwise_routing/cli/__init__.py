"""The command ``stepwise-routing``."""

from __future__ import annotations

import sys

_EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "scipy": "cli",
    "matplotlib": "cli",
    "jinja2": "cli",
    "PIL": "cli",
    "torch": "agents",
    "stable_baselines3": "agents",
    "sb3_contrib": "agents",
    "tensorboard": "agents",
    "yaml": "agents",
    "sklearn": "agents",
    "pydantic": "leaderboard",
    "transformers": "llm",
    "openai": "llm",
    "genai_prices": "llm",
    "math_verify": "llm",
    "datasets": "llm",
    "ray": "llm",
    "vllm": "vllm",
    "aiohttp": "serve",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "pydantic_settings": "serve",
    "sqlalchemy": "serve",
}
"""Which extra brings a package that a command may miss."""


def main() -> None:
    """Run the command line; without the extra that a command needs, say which one."""
    try:
        from gym_stepwise_routing.cli.app import app

        app()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        sys.exit(f"this needs {package}: pip install 'gym-stepwise-routing[{_EXTRAS[package]}]'")
