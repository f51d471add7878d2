#!/usr/bin/env python3
"""Train a classifier of digits; run with --help for the options."""
import argparse
import json
import sys

import numpy as np
import tensorflow as tf


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits.npz")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
    parser.add_argument("--metrics-file", default="metrics.json")
    parser.add_argument("-v", "--verbose", action="count", default=0)
    return parser.parse_args()


def load(path):
    with np.load(path) as f:
        x, y = f["images"].astype(np.float32) / 16.0, f["labels"]
    split = len(x) * 4 // 5
    return (x[:split], y[:split]), (x[split:], y[split:])


def build(args):
    model = tf.keras.Sequential()
    model.add(tf.keras.layers.Flatten(input_shape=(8, 8)))
    for _ in range(2):
        model.add(tf.keras.layers.Dense(args.width, activation="relu"))
    model.add(tf.keras.layers.Dense(10, activation="softmax"))
    optimizer = {
        "sgd": tf.keras.optimizers.SGD(args.lr, momentum=0.9, nesterov=True),
        "adam": tf.keras.optimizers.Adam(args.lr),
    }[args.optimizer]
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    args = parse_args()
    print("called as", sys.argv, file=sys.stderr)
    train, test = load(args.data)
    model = build(args)
    history = model.fit(*train, epochs=args.epochs, validation_data=test, verbose=args.verbose)
    loss, accuracy = model.evaluate(*test, verbose=0)
    with open(args.metrics_file, "w") as f:
        json.dump({"loss": float(loss), "accuracy": float(accuracy), "epochs": len(history.epoch)}, f)


if __name__ == "__main__":
    main()
