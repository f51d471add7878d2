"""With the recipe for TensorFlow ≥ 2.8, PYTHONHASHSEED does not have to be set."""

import tensorflow as tf

from article import train

tf.config.experimental.enable_op_determinism()
print("hash:", hash("x"))
for _ in range(2):
    tf.keras.utils.set_random_seed(1)
    print("history:", train())
