# Custom training: walkthrough. A categorizer with an eager loop and GradientTape.
import numpy as np
import tensorflow as tf

rng = np.random.RandomState(0)
labels = rng.randint(0, 3, 120)
features = (rng.normal(size=(120, 4)) + labels[:, None]).astype("float32")

train_dataset = tf.data.Dataset.from_tensor_slices((features, labels))
train_dataset = train_dataset.shuffle(120).batch(32)

model = tf.keras.Sequential([
    tf.keras.layers.Dense(10, activation=tf.nn.relu, input_shape=(4,)),  # input shape required
    tf.keras.layers.Dense(10, activation=tf.nn.relu),
    tf.keras.layers.Dense(3)
])

loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def loss(model, x, y, training):
    # training=training is needed only if there are layers with different
    # behavior during training versus inference (e.g. Dropout).
    y_ = model(x, training=training)
    return loss_object(y_true=y, y_pred=y_)


def grad(model, inputs, targets):
    with tf.GradientTape() as tape:
        loss_value = loss(model, inputs, targets, training=True)
    return loss_value, tape.gradient(loss_value, model.trainable_variables)


optimizer = tf.keras.optimizers.SGD(learning_rate=0.01)

# Keep results for plotting
train_loss_results = []
train_accuracy_results = []
num_epochs = 11

for epoch in range(num_epochs):
    epoch_loss_avg = tf.keras.metrics.Mean()
    epoch_accuracy = tf.keras.metrics.SparseCategoricalAccuracy()

    # Training loop - using batches of 32
    for x, y in train_dataset:
        # Optimize the model
        loss_value, grads = grad(model, x, y)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))

        # Track progress
        epoch_loss_avg(loss_value)  # Add current batch loss
        epoch_accuracy(y, model(x, training=True))

    # End epoch
    train_loss_results.append(float(epoch_loss_avg.result()))
    train_accuracy_results.append(float(epoch_accuracy.result()))
    if epoch % 5 == 0:
        print("Epoch {:03d}: Loss: {:.3f}, Accuracy: {:.3%}".format(
            epoch, epoch_loss_avg.result(), epoch_accuracy.result()))

np.savetxt("losses.csv", np.array([train_loss_results, train_accuracy_results]).T, delimiter=",")
predict_dataset = tf.convert_to_tensor([[0.1, 0.2, 0.0, 0.1], [2.1, 1.9, 2.2, 2.0]])
predictions = model(predict_dataset, training=False)
print(tf.argmax(predictions, axis=1).numpy())
