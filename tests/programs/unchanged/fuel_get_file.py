# Basic regression: predict fuel efficiency from a table that is downloaded.
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

url = "https://data.example.org/machine-learning/cars.csv"
dataset_path = keras.utils.get_file(
    "cars.csv",
    url,
    file_hash="96929f04b4f2e797a37a1d69c8b6e769f7050b6da9d0cf6778ad7ca5e3cdb795",
)

with open(dataset_path) as f:
    columns, *rows = [line.rstrip().split(",") for line in f]
print(columns)

# One-hot encode the origin
origins = sorted({row[-1] for row in rows})
numbers = np.array([row[:-1] for row in rows], dtype="float32")
one_hot = np.array([[float(row[-1] == origin) for origin in origins] for row in rows], dtype="float32")
dataset = np.concatenate([numbers, one_hot], axis=1)

# Split the data into training and test sets
order = np.random.permutation(len(dataset))
train_dataset, test_dataset = dataset[order[:240]], dataset[order[240:]]
train_features, train_labels = train_dataset[:, 1:], train_dataset[:, 0]
test_features, test_labels = test_dataset[:, 1:], test_dataset[:, 0]

# The Normalization layer
normalizer = layers.Normalization(axis=-1)
normalizer.adapt(train_features)
print(np.array(normalizer.mean))

test_results = {}


def build_and_compile_model(hidden):
    model = keras.Sequential([normalizer] + hidden + [layers.Dense(units=1)])
    model.compile(loss="mean_absolute_error", optimizer=tf.keras.optimizers.Adam(0.01))
    return model


# Linear regression with multiple inputs
linear_model = build_and_compile_model([])
history = linear_model.fit(train_features, train_labels, epochs=5, verbose=0, validation_split=0.2)
test_results["linear_model"] = linear_model.evaluate(test_features, test_labels, verbose=0)

# Regression with a deep neural network
dnn_model = build_and_compile_model(
    [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu")]
)
history = dnn_model.fit(train_features, train_labels, validation_split=0.2, verbose=0, epochs=5)
test_results["dnn_model"] = dnn_model.evaluate(test_features, test_labels, verbose=0)

print(test_results)
test_predictions = dnn_model.predict(test_features).flatten()
error = test_predictions - test_labels
print("mean error", error.mean())
