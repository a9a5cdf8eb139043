"""Rendering: as text, on the terminal, as pictures, and as a video."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
from fake_sources import TreeSource
from PIL import ImageFont

from gym_stepwise_routing.envs.rendering import Frame, Renderer, _font_file, wrap_to_width
from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv

PROBLEM = {"problem": "gsm8k/train/0"}


def test_ansi_shows_who_wrote_what_at_which_cost():
    env = gym.make("StepwiseRouting-v0", render_mode="ansi")
    env.reset(options=PROBLEM)
    title = env.render()
    assert title == "gsm8k-qwen2.5-coder  route  cost 0.000 x always-largest (large_tokens)\n"
    *_, info = env.step(0)
    *_, info = env.step(1)
    lines = env.render().splitlines()
    assert f"cost {info['spent']:.3f} x always-largest" in lines[0]
    small, large = (next(line for line in lines if f"{n}. Qwen" in line) for n in (1, 2))
    assert "0.5B" in small
    assert "1.5B" in large
    assert small[: small.index("m")] != large[: large.index("m")]  # another colour
    source = env.unwrapped.game.source
    bank_text = source.bank.text(source.bank.child[source.bank.problems.root[info["problem"]], 0])
    assert bank_text.split()[0] in lines[2]


def test_ansi_tells_how_it_ended_and_shows_pending_drafts():
    env = gym.make("StepwiseRouting-v0", render_mode="ansi", mode="regenerate")
    env.reset(options=PROBLEM)
    assert "pending draft:" in env.render()
    while True:
        _, reward, terminated, truncated, _ = env.step(1)
        if terminated or truncated:
            break
    assert "pending draft" not in env.render()
    assert env.render().splitlines()[-1] == ("right" if reward else "wrong")


def test_human_writes_to_the_terminal_at_every_step(capsys):
    env = gym.make("StepwiseRouting-v0", render_mode="human")
    env.reset(options=PROBLEM)
    first = capsys.readouterr().out
    env.step(1)
    second = capsys.readouterr().out
    assert first.startswith("gsm8k-qwen2.5-coder")
    assert "1.5B" in second
    assert env.render() is None


def test_simulated_traces_say_so():
    env = StepwiseRoutingEnv(TreeSource(), render_mode="ansi")
    env.reset(seed=0)
    assert env.render().splitlines()[0].endswith("SIMULATED")


def test_pictures_change_with_every_step():
    env = gym.make("StepwiseRouting-v0", render_mode="rgb_array")
    env.reset(options=PROBLEM)
    frames = [env.render()]
    while True:
        *_, terminated, truncated, _ = env.step(len(frames) % 2)
        frames.append(env.render())
        if terminated or truncated:
            break
    for frame in frames:
        assert (frame.shape, frame.dtype) == ((600, 800, 3), np.uint8)
    for one, other in itertools.pairwise(frames):
        assert (one != other).any()


@pytest.mark.parametrize("letter", "£ñ≤√π×é")  # noqa: RUF001 - the letters of problems
def test_every_letter_of_a_problem_is_drawn(letter):
    """A missing glyph would look like any other missing glyph."""
    renderer = Renderer(StepwiseRoutingEnv().routing_spec)
    first = Frame(-1, "", "", 0.0)
    drawn, missing = (renderer.image([first, Frame(0, text, "", 0.1)]) for text in (letter, "\uffff"))
    assert (drawn != missing).any()


@pytest.mark.parametrize("text", ["W" * 300, "il" * 400, "a wide WWWWWWWWWWWWWWWWWWWWWW and narrow word " * 20])
def test_pictures_wrap_text_by_its_width(text):
    renderer = Renderer(StepwiseRoutingEnv().routing_spec)
    picture = renderer.image([Frame(-1, "", "", 0.0), Frame(0, text, "", 0.1)])
    assert (picture[92:, -14:] == 255).all()  # nothing runs out on the right
    font = ImageFont.truetype(_font_file(), size=15)
    lines = wrap_to_width(text, font)
    assert max(font.getlength(line) for line in lines) <= 768
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_long_traces_show_their_end():
    renderer = Renderer(StepwiseRoutingEnv().routing_spec)
    frames = [Frame(-1, "", "", 0.0), *(Frame(n % 2, "word " * 60, "", n / 9) for n in range(1, 9))]
    short, long = renderer.image(frames[:2]), renderer.image(frames)
    assert short.shape == long.shape
    assert (long[-60:] != 255).any()  # written down to the bottom


def test_without_a_render_mode_there_is_a_warning_and_no_picture():
    env = StepwiseRoutingEnv()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode='ansi'"):
        assert env.render() is None


def test_gymnasium_records_a_video(tmp_path):
    pytest.importorskip("moviepy", reason="Gymnasium's RecordVideo needs moviepy")
    env = gym.make("StepwiseRouting-v0", render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(tmp_path / "videos"), episode_trigger=lambda _: True, disable_logger=True)
    env.reset(seed=0)
    while not any(env.step(1)[2:4]):
        pass
    env.close()
    (video,) = tmp_path.glob("videos/*.mp4")
    assert video.stat().st_size > 1000


def test_in_restart_it_is_said_who_begins_afresh():
    env = gym.make(
        "StepwiseRouting-v0", source="intercode-sql-gpt", mode="restart", cost_unit="dollars", render_mode="ansi"
    )
    env.reset(seed=0)
    for action in (0, 1, 1):
        if env.unwrapped.action_masks()[action]:
            env.step(action)
    text = env.render()
    assert text.count("gpt-4 begins the problem afresh") == 1
    assert "restart" in text.splitlines()[0]
