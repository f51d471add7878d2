"""A program that ends as a Unix program does: with sys.exit."""
import sys

import numpy as np
import tensorflow as tf


class Tagger(tf.keras.Model):
    """A subclassed model with a loop over time of its own."""

    def __init__(self, vocabulary, tags):
        super().__init__()
        self.embedding = tf.keras.layers.Embedding(vocabulary, 8)
        self.cell = tf.keras.layers.GRUCell(12)
        self.dense = tf.keras.layers.Dense(tags)

    def call(self, tokens):
        embedded = self.embedding(tokens)
        state = [tf.zeros((tf.shape(tokens)[0], 12))]
        outputs = []
        for position in range(tokens.shape[1]):
            output, state = self.cell(embedded[:, position], state)
            outputs.append(output)
        return self.dense(tf.stack(outputs, axis=1))


def sentences(count, length=6, vocabulary=30):
    tokens = np.random.randint(1, vocabulary, (count, length))
    tags = (tokens + np.roll(tokens, 1, axis=1)) % 3
    return tokens.astype("int32"), tags.astype("int32")


def main(argv):
    if len(argv) > 2:
        print("usage: exits.py [EPOCHS]", file=sys.stderr)
        return 2
    epochs = int(argv[1]) if len(argv) == 2 else 3
    tokens, tags = sentences(384)
    model = Tagger(30, 3)
    model.compile(
        optimizer="adagrad",
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(tokens, tags, epochs=epochs, batch_size=32, verbose=0)
    loss, accuracy = model.evaluate(*sentences(64), verbose=0)
    print(f"loss {loss:.4f}, accuracy {accuracy:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
