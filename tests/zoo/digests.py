"""Print the digest of the first weights of each model of a module, as JSON by its name.

python digests.py MODULE LISTED NAME...    LISTED: the folder of models that list one
"""

import hashlib
import importlib
import json
import sys

import tensorflow as tf


def digest(module: str, name: str, listed: str) -> str:
    """Of one model, after the seeds of a training."""
    tf.keras.utils.set_random_seed(1)
    function = getattr(importlib.import_module(module), name)
    model = function(listed) if "listed" in function.__code__.co_varnames[:1] else function()
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


if __name__ == "__main__":
    module, listed, *names = sys.argv[1:]
    print("digests", json.dumps({name: digest(module, name, listed) for name in names}))
