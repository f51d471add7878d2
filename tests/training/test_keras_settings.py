"""A user's keras.json reaches no run, and a run that it reaches is refused."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline import SCRIPTS, command, environment
from samebits.launch import temporary

pytestmark = pytest.mark.environment

PROGRAM = """
import sys; sys.path.insert(0, sys.argv[1])
import tensorflow as tf
from samebits.errors import run
from samebits.training import settings
run(lambda: print(settings.as_json(settings.require_pinned(settings.of_keras(tf.keras)))) or 0)
"""
CHOSEN = {"epsilon": 1e-3, "floatx": "float16", "image_data_format": "channels_first"}


def test_what_a_users_keras_json_says_is_refused_by_name_and_reaches_no_isolated_run(
    tmp_path: Path,
) -> None:
    home = tmp_path / ".keras"
    home.mkdir()
    (home / "keras.json").write_text(json.dumps(CHOSEN | {"backend": "tensorflow"}))
    line = [environment("train-tf2.21") / "bin/python", "-s", "-c", PROGRAM, SCRIPTS]
    plain = {"HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    said = command(*line, cwd=tmp_path, check=False, variables=plain).stdout
    for name, got in (
        ("epsilon", 0.001),
        ("floatx", "'float16'"),
        ("image data format", "'channels_"),
    ):
        assert f"Keras {name}: expected" in said and f"got {got}" in said
    with ExitStack() as ends:
        own = temporary.own_folders(os.environ | plain, ends)
        assert "1e-07" in command(*line, cwd=tmp_path, variables=plain | own).stdout
