"""Stored variables with TensorFlow: three lines load them, and no bit of any dtype is lost."""

from pathlib import Path

import pytest
import safetensors

from pipeline import SCRIPTS, Workspace, command

_PROGRAM = """
import json, sys
import numpy as np, safetensors.numpy, tensorflow as tf
from pathlib import Path
from samebits import models
from samebits.formats import arrays
from samebits.training import task

run, trained = Path(sys.argv[1]), models.mlp([28, 28], classes=10, units=4)
stored = arrays.write(run / "weights.safetensors", task.values(task.named(trained.weights)))
(run / "record.json").write_text(json.dumps({"tensors": {"weights": stored.as_json()}}))
model = models.mlp([28, 28], classes=10, units=4)
before = [w.tobytes() for w in trained.get_weights()]
assert [w.tobytes() for w in model.get_weights()] != before

names = [t["name"] for t in json.load(open(run / "record.json"))["tensors"]["weights"]]
weights = safetensors.numpy.load_file(run / "weights.safetensors")
model.set_weights([weights[name] for name in names])
assert [w.tobytes() for w in model.get_weights()] == before

for dtype in ("bfloat16", "complex128", "complex64", "float16", "float64", "int8", "bool"):
    for values in ([1.5, -0.0, 3.0], [[1.0], [0.0]], 2.0):
        variable = tf.Variable(tf.cast(values, dtype))
        stored = arrays.write(run / "one", [("v", variable.numpy())])
        array = arrays.open_arrays(run / "one")["v"]
        assert stored.tensors == arrays.read(run / "one").tensors
        restored = arrays.restored(array, variable.numpy())
        assert restored.dtype == variable.numpy().dtype and restored.shape == variable.shape
        assert restored.tobytes() == variable.numpy().tobytes()
        variable.assign(tf.zeros_like(variable))
        variable.assign(restored)
        assert arrays.digest(arrays.described([("v", variable.numpy())])) == stored.sha256
    assert stored.tensors[0].dtype == {"bfloat16": "BF16", "complex128": "F64"}.get(
        dtype, stored.tensors[0].dtype
    )
"""


@pytest.mark.environment
def test_weights_load_into_the_model_and_every_dtype_keeps_its_bits(
    workspace: Workspace, tmp_path: Path
) -> None:
    library = tmp_path / "library"  # the training's environment has none
    library.mkdir()
    (library / "safetensors").symlink_to(Path(safetensors.__file__).parent)
    (tmp_path / "program.py").write_text(_PROGRAM)
    python = workspace.python("train-tf2.21")
    path = f"{SCRIPTS}:{library}"
    command(python, "program.py", tmp_path, cwd=tmp_path, variables={"PYTHONPATH": path})
