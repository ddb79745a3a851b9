"""The OpenAPI document held against the real server, by Schemathesis with all its checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEY = "schemathesis-key-0123456789"
COMMAND = Path(sys.executable).with_name("schemathesis")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
EXAMPLES = "25"  # most for each operation; with those that the document itself asks for half a minute or two


@pytest.mark.slow
def test_the_server_keeps_what_its_document_says(serve, tmp_path):
    server = serve(api_key=KEY)
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[auth.openapi.ApiKey]\napi_key = "{KEY}"\n')
    address = f"http://127.0.0.1:{server.port}/openapi.json"
    options = ["--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES]
    done = subprocess.run(
        [COMMAND, "--config-file", config, "--no-color", "run", address, *options, "--seed", "1"],
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        cwd=tmp_path,  # where it leaves its examples
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert "Tested: 13" in done.stdout
    assert KEY not in server.log()
