"""Under op determinism, training without a seed is an error."""

import tensorflow as tf

from article import train

tf.config.experimental.enable_op_determinism()
print("history:", train())
