# Batches from generators: random crops and mirror images, drawn with Python's own generator.
import random

import numpy as np
from tensorflow import keras
from tensorflow.keras.layers import Conv2D, Dense, Dropout, Flatten

BATCH = 32

with np.load("digits.npz") as f:
    images, labels = f["images"].astype("float32") / 16, keras.utils.to_categorical(f["labels"], 10)
train_images, train_labels = images[:640], labels[:640]
val_images, val_labels = images[640:], labels[640:]


def augmented(image):
    dx, dy = random.randint(0, 2), random.randint(0, 2)
    image = image[dy : dy + 6, dx : dx + 6]
    if random.random() < 0.5:
        image = image[:, ::-1]
    return image * random.uniform(0.8, 1.2)


def batches():
    rows = list(range(len(train_images)))
    while True:
        random.shuffle(rows)
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            x = np.stack([augmented(train_images[row]) for row in chosen])
            yield x[..., None], train_labels[chosen]


class Validation(keras.utils.Sequence):
    def __len__(self):
        return int(np.ceil(len(val_images) / BATCH))

    def __getitem__(self, index):
        part = slice(index * BATCH, (index + 1) * BATCH)
        return val_images[part, 1:7, 1:7, None], val_labels[part]


model = keras.Sequential([
    Conv2D(12, (3, 3), activation="relu", input_shape=(6, 6, 1)),
    Flatten(),
    Dropout(0.25),
    Dense(32, activation="relu"),
    Dense(10, activation="softmax"),
])
model.compile(optimizer="adamax", loss="categorical_crossentropy", metrics=["accuracy"])
model.fit(batches(), steps_per_epoch=20, epochs=3, validation_data=Validation())
print(model.evaluate(Validation(), verbose=0))
