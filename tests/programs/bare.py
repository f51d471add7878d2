"""A program as it is, in one plain process with the pins of a profile and no hooks.

    PYTHON bare.py --served FOLDER --out FILE.npz [--replaced OP …] -- PROGRAM [ARGUMENT …]

Of the product it has the ops that a profile replaces, and nothing else.

What is downloaded is taken from the folder ``--served``. FILE.npz receives the variables of all
models, in the order in which they were made. Runs on Python 3.7 and TensorFlow 2.1 too.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import runpy
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--served", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replaced", nargs="*", default=[])
    end = sys.argv.index("--")
    options, program = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    served, out = options.served.resolve(), options.out.resolve()
    pin(options.seed)
    serve(served)
    models = kept()
    with ops(options.replaced):
        start(program)
    arrays: dict[str, Any] = {}
    for number, model in enumerate(models):
        for row, variable in enumerate(weights(model)):
            arrays[f"model{number:03}/{row:03}"] = variable
    np.savez(str(out), **arrays)


def pin(seed: int) -> None:
    """Seeds of Python and NumPy come first: TensorFlow draws from one when it is imported."""
    random.seed(seed)
    np.random.seed(seed)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.random.set_seed(seed)
    if hasattr(tf.config.experimental, "enable_op_determinism"):
        kept = random.getstate(), np.random.get_state()
        tf.keras.utils.set_random_seed(seed)  # Keras keeps it, too
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        tf.config.experimental.enable_op_determinism()


@contextmanager
def ops(names: list[str]) -> Iterator[None]:
    """These are replaced, and TensorFlow rewrites none into them."""
    if not names:
        yield
        return
    sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "scripts"))
    from samebits.training import replaced_ops

    del sys.path[1]
    import tensorflow as tf

    replaced_ops.stop_rewriting(tf)
    with replaced_ops.replaced(tf, names):
        yield


def serve(folder: Path) -> None:
    """Let get_file find everything in a folder, by the last part of its address."""

    def urlretrieve(url: str, filename: str, *_: Any, **__: Any) -> None:
        shutil.copy(folder / url.rpartition("/")[2], filename)

    import tensorflow as tf

    # Not by the module's name: TensorFlow 2.1 has it under two.
    used = inspect.unwrap(tf.keras.utils.get_file).__globals__
    used.update(urlretrieve=urlretrieve, validate_file=lambda *_, **__: True)


def kept() -> list[Any]:
    """All models from now on."""
    import tensorflow as tf

    models: list[Any] = []
    make = tf.keras.Model.__new__

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        model = make(cls) if make is object.__new__ else make(cls, *args, **kwargs)
        if not any(model is other for other in models):
            models.append(model)
        return model

    tf.keras.Model.__new__ = new
    return models


def weights(model: Any) -> list[np.ndarray]:
    try:
        return [np.asarray(variable) for variable in model.get_weights()]
    except ValueError:  # never built
        return []


def start(words: list[str]) -> None:
    sys.argv = words[1:] if words[0] == "-m" else words
    sys.path[0] = "" if words[0] == "-m" else str(Path(words[0]).resolve().parent)
    try:
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0].endswith(".ipynb"):
            exec(cells(words[0]), {"__name__": "__main__"})  # noqa: S102
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise


def cells(path: str) -> str:
    """The code of a notebook, without its magics."""
    found = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    code = (
        line for cell in found if cell["cell_type"] == "code" for line in [*cell["source"], "\n"]
    )
    return "".join(line for line in code if not line.startswith("%"))


if __name__ == "__main__":
    main()
