"""
Title: Structured data classification from scratch
Description: Binary classification of structured data with numerical and categorical features.
"""

import csv

import keras
import numpy as np
import tensorflow as tf
from keras import layers

with open("heart.csv") as f:
    rows = list(csv.DictReader(f))
np.random.shuffle(rows)
val_rows, train_rows = rows[:48], rows[48:]
print(f"Using {len(train_rows)} samples for training and {len(val_rows)} for validation")

NUMERIC = ["age", "trestbps"]


def rows_to_dataset(rows):
    features = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    labels = features.pop("target").astype("int32")
    for name in NUMERIC:
        features[name] = features[name].astype("float32")
    features["cp"] = features["cp"].astype("int64")
    ds = tf.data.Dataset.from_tensor_slices((features, labels))
    return ds.shuffle(buffer_size=len(rows))


train_ds = rows_to_dataset(train_rows).batch(32)
val_ds = rows_to_dataset(val_rows).batch(32)


def encode_numerical_feature(feature, name, dataset):
    normalizer = layers.Normalization()
    # Prepare a Dataset that only yields our feature
    feature_ds = dataset.map(lambda x, y: x[name])
    feature_ds = feature_ds.map(lambda x: tf.expand_dims(x, -1))
    # Learn the statistics of the data
    normalizer.adapt(feature_ds)
    return normalizer(feature)


def encode_categorical_feature(feature, name, dataset, is_string):
    lookup_class = layers.StringLookup if is_string else layers.IntegerLookup
    lookup = lookup_class(output_mode="binary")
    feature_ds = dataset.map(lambda x, y: x[name])
    feature_ds = feature_ds.map(lambda x: tf.expand_dims(x, -1))
    lookup.adapt(feature_ds)
    return lookup(feature)


sex = keras.Input(shape=(1,), name="sex", dtype="string")
thal = keras.Input(shape=(1,), name="thal", dtype="string")
cp = keras.Input(shape=(1,), name="cp", dtype="int64")
age = keras.Input(shape=(1,), name="age")
trestbps = keras.Input(shape=(1,), name="trestbps")

all_inputs = [sex, thal, cp, age, trestbps]
all_features = layers.concatenate(
    [
        encode_categorical_feature(sex, "sex", train_ds, True),
        encode_categorical_feature(thal, "thal", train_ds, True),
        encode_categorical_feature(cp, "cp", train_ds, False),
        encode_numerical_feature(age, "age", train_ds),
        encode_numerical_feature(trestbps, "trestbps", train_ds),
    ]
)
x = layers.Dense(32, activation="relu")(all_features)
x = layers.Dropout(0.5)(x)
output = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(all_inputs, output)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(train_ds, epochs=5, validation_data=val_ds)

sample = {"sex": "male", "thal": "fixed", "cp": 1, "age": 60.0, "trestbps": 145.0}
input_dict = {name: tf.convert_to_tensor([[value]]) for name, value in sample.items()}
predictions = model.predict(input_dict)
print(f"This particular patient had a {100 * predictions[0][0]:.1f} percent probability")
