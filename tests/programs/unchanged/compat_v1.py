"""A program that was moved from TensorFlow 1 and kept its optimizer."""
import numpy as np
import tensorflow as tf

with np.load("housing.npz") as data:
    boston_x = data["x"].astype("float32")
    boston_y = data["y"].astype("float32")[:, None]
boston_x = (boston_x - boston_x.mean(axis=0)) / boston_x.std(axis=0)

W1 = tf.Variable(tf.random.truncated_normal([13, 16], stddev=0.3), name="W1")
b1 = tf.Variable(tf.zeros([16]), name="b1")
W2 = tf.Variable(tf.random.truncated_normal([16, 1], stddev=0.3), name="W2")
b2 = tf.Variable(tf.zeros([1]), name="b2")
variables = [W1, b1, W2, b2]


def predict(x):
    hidden = tf.nn.relu(tf.matmul(x, W1) + b1)
    return tf.matmul(hidden, W2) + b2


optimizer = tf.compat.v1.train.MomentumOptimizer(learning_rate=0.001, momentum=0.9)
global_step = tf.compat.v1.train.get_or_create_global_step()


def train_op(x, y):
    with tf.GradientTape() as tape:
        cost = tf.reduce_mean(tf.square(predict(x) - y))
    gradients = tape.gradient(cost, variables)
    clipped, _ = tf.clip_by_global_norm(gradients, 50.0)
    optimizer.apply_gradients(zip(clipped, variables), global_step=global_step)
    return cost


batch_size = 24
for epoch in range(4):
    order = np.random.permutation(len(boston_x))
    costs = []
    for start in range(0, len(order), batch_size):
        batch = order[start:start + batch_size]
        costs.append(float(train_op(boston_x[batch], boston_y[batch])))
    print("epoch %d, step %d: cost %.3f" % (epoch, int(global_step.numpy()), np.mean(costs)))

np.savez("network.npz", W1=W1.numpy(), b1=b1.numpy(), W2=W2.numpy(), b2=b2.numpy())
