# Train, evaluate, predict, and write all of it down.
import csv
import json
import os

import numpy as np
from tensorflow import keras

OUT = "out"
os.makedirs(OUT)

with np.load("digits.npz") as f:
    images, labels = f["images"].astype("float32")[..., None] / 16, f["labels"]
x_train, x_test = images[:640], images[640:]
y_train, y_test = labels[:640], labels[640:]

model = keras.Sequential([
    keras.layers.Conv2D(8, 3, activation="relu", input_shape=(8, 8, 1)),
    keras.layers.BatchNormalization(),
    keras.layers.GlobalMaxPooling2D(),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
              loss="sparse_categorical_crossentropy",
              metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=3, batch_size=32, validation_split=0.2, verbose=2)

# The network
model.save(os.path.join(OUT, "model.h5"))
model.save_weights(os.path.join(OUT, "model.weights.h5"))
with open(os.path.join(OUT, "architecture.json"), "w") as f:
    f.write(model.to_json())

# The history
columns = sorted(history.history)
with open(os.path.join(OUT, "history.csv"), "w") as f:
    writer = csv.writer(f)
    writer.writerow(["epoch"] + columns)
    for epoch in history.epoch:
        writer.writerow([epoch] + [history.history[name][epoch] for name in columns])

# Results
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
probabilities = model.predict(x_test, batch_size=64)
predicted = probabilities.argmax(axis=1)
np.save(os.path.join(OUT, "probabilities.npy"), probabilities)
confusion = np.zeros((10, 10), dtype=int)
for true, guess in zip(y_test, predicted):
    confusion[true, guess] += 1
np.savetxt(os.path.join(OUT, "confusion.csv"), confusion, fmt="%d", delimiter=",")
with open(os.path.join(OUT, "result.json"), "w") as f:
    json.dump({"loss": float(loss), "accuracy": float(accuracy), "wrong": int((predicted != y_test).sum())}, f)
print("wrote", sorted(os.listdir(OUT)))
