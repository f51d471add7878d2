# ruff: noqa: E402, PTH111, PTH112, PTH113, PTH208, SIM115
"""Downloads as programs have them; prints what each gave. argv: scripts, URL of a site."""

import json
import os
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])

from samebits.program import served

served.begin()
import wrapt

for name in served.MODULES:
    wrapt.register_post_import_hook(served.install, name)

import numpy as np
import tensorflow as tf

SITE = sys.argv[2]
get_file = tf.keras.utils.get_file
found: Any = {}


def note(name: str, path: str) -> None:
    inside = os.path.isdir(path)
    found[name] = sorted(os.listdir(path)) if inside else open(path, "rb").read().decode()[:6]


note("plain", get_file("a.bin", SITE + "/a.bin"))
note("again", get_file("a.bin", SITE + "/a.bin"))
note("md5", get_file("m.bin", SITE + "/a.bin", md5_hash=os.environ["MD5"]))
note("sha256", get_file("s.bin", SITE + "/a.bin", file_hash=os.environ["SHA256"]))
note("own folder", get_file("c.bin", SITE + "/a.bin", cache_dir="here"))
found["here"] = os.path.isfile("here/datasets/c.bin")
# Declared by the config, with another digest than the program pins.
note("declared", get_file("d.bin", SITE + "/declared", file_hash="0" * 64))
note("declared again", get_file("d.bin", SITE + "/declared", file_hash="0" * 64))
unpacked = get_file("t", SITE + "/t.tar.gz", untar=True)
found["untar"] = sorted(n for _, _, names in os.walk(unpacked) for n in names if n.endswith("txt"))
get_file("z.zip", SITE + "/z.zip", extract=True)
home = os.environ["KERAS_HOME"]
found["extract"] = sorted(
    n for _, _, ns in os.walk(home) for n in ns if n.startswith("z") and n[-3:] == "txt"
)
try:
    get_file("wrong.bin", SITE + "/a.bin", file_hash="1" * 64)
except Exception as error:
    found["wrong"] = str(error)
(x_train, y_train), (x_test, y_test) = tf.keras.datasets.mnist.load_data()
found["mnist"] = [x_train.tolist(), y_test.tolist()]
found["loadtxt"] = np.loadtxt(SITE + "/n.csv").tolist()
found["home"] = os.listdir(os.path.expanduser("~"))
found["fetched"] = served.fetched()
found["connections"] = served.connections()
print(json.dumps(found))
