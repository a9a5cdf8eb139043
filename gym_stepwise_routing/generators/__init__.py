"""Language models behind one small interface: transformers, vLLM, and any OpenAI-compatible server."""

from gym_stepwise_routing.generators.generator import Completion, Failure, Generator, GeneratorInfo, Request, generate
from gym_stepwise_routing.generators.partial_step import PartialStep
from gym_stepwise_routing.generators.step_rule import BLANK_LINE, NEWLINE, StepRule
from gym_stepwise_routing.generators.steps import Step, read_steps

__all__ = [
    "BLANK_LINE",
    "NEWLINE",
    "Completion",
    "Failure",
    "Generator",
    "GeneratorInfo",
    "PartialStep",
    "Request",
    "Step",
    "StepRule",
    "generate",
    "read_steps",
]
