"""LiteLLM's proxy in an environment of its own, made once below the cache folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

VERSION = "1.90.0"
_SECONDS = 400


def _environment() -> Path | None:
    """The environment; None, with a message, where it cannot be made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "gym-stepwise-routing" / f"litellm-{VERSION}"
    if (folder / "complete").exists():
        return folder
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", f"litellm[proxy]=={VERSION}"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
        subprocess.run(pip, check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        sys.stdout.write(f"LiteLLM {VERSION} cannot be installed, its row is left out: {said.decode()[-200:]}\n")
        return None
    (folder / "complete").touch()
    return folder


@contextmanager
def litellm_proxy(endpoint: str, folder: Path) -> Iterator[tuple[str, int] | None]:
    """The proxy in front of one endpoint: address and process id; None where it cannot be had."""
    if (environment := _environment()) is None:
        yield None
        return
    parameters = {"model": "openai/fake", "api_base": endpoint, "api_key": "none"}
    content = {"model_list": [{"model_name": "stepwise-routing", "litellm_params": parameters}]}
    (folder / "litellm.yml").write_text(yaml.safe_dump(content))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = [
        "--config",
        str(folder / "litellm.yml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    with (
        (folder / "litellm.log").open("w") as log,
        subprocess.Popen(
            [str(environment / "bin" / "litellm"), *options], stdout=log, stderr=log, env=os.environ | variables
        ) as process,
    ):
        try:
            _wait(port, process)
            yield f"http://127.0.0.1:{port}/v1", process.pid
        except TimeoutError:
            sys.stdout.write(f"LiteLLM does not start: {(folder / 'litellm.log').read_text()[-500:]}\n")
            raise
        finally:
            process.kill()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the proxy takes connections, which it does once it has started."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError
