"""python -m spirals.train --epochs 3"""
import argparse
import logging

import numpy as np
import tensorflow as tf

import spirals
from spirals.data import spirals as points

from .model import build
from .settings import BATCH

log = logging.getLogger(__name__)


def main(epochs):
    x, y = points()
    x_test, y_test = points(128)
    model = build()
    model.compile(tf.keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    log.info("spirals %s, %d parameters", spirals.__version__, model.count_params())
    # A batch at a time, as the points would come from a sensor
    for epoch in range(epochs):
        for start in range(0, len(x), BATCH):
            batch = slice(start, start + BATCH)
            loss, accuracy = model.train_on_batch(x[batch], y[batch])
        log.info("epoch %d: loss %.4f, accuracy %.4f", epoch, loss, accuracy)
    log.info("test: %s", model.test_on_batch(x_test, y_test))
    log.info("first points: %s", np.ravel(model.predict_on_batch(x_test[:4])))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
