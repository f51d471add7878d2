"""
Title: Actor Critic Method
Description: Actor Critic on a pole that has to be balanced, with a tape over each episode.
"""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

gamma = 0.99  # Discount factor for past rewards
max_steps_per_episode = 40
episodes = 6
eps = np.finfo(np.float32).eps.item()  # Smallest number such that 1.0 + eps != 1.0


class Pole:
    def reset(self):
        self.state = np.random.uniform(-0.05, 0.05, size=4)
        return self.state

    def step(self, action):
        x, speed, angle, turning = self.state
        force = 10.0 if action == 1 else -10.0
        temp = (force + 0.05 * turning**2 * np.sin(angle)) / 1.1
        turn = (9.8 * np.sin(angle) - np.cos(angle) * temp) / (0.5 * (4.0 / 3.0 - 0.1 * np.cos(angle) ** 2 / 1.1))
        push = temp - 0.05 * turn * np.cos(angle) / 1.1
        self.state = self.state + 0.02 * np.array([speed, push, turning, turn])
        return self.state, 1.0, abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2


inputs = layers.Input(shape=(4,))
common = layers.Dense(32, activation="relu")(inputs)
action = layers.Dense(2, activation="softmax")(common)
critic = layers.Dense(1)(common)
model = keras.Model(inputs=inputs, outputs=[action, critic])

optimizer = keras.optimizers.Adam(learning_rate=0.01)
huber_loss = keras.losses.Huber()
env = Pole()
running_reward = 0

for episode in range(episodes):
    state = env.reset()
    episode_reward = 0
    action_probs_history, critic_value_history, rewards_history = [], [], []
    with tf.GradientTape() as tape:
        for timestep in range(1, max_steps_per_episode):
            # Predict action probabilities and estimated future rewards from environment state
            state = tf.expand_dims(tf.convert_to_tensor(state, dtype=tf.float32), 0)
            action_probs, critic_value = model(state)
            critic_value_history.append(critic_value[0, 0])

            # Sample action from action probability distribution
            probs = np.squeeze(action_probs).astype("float64")
            action = np.random.choice(2, p=probs / probs.sum())
            action_probs_history.append(tf.math.log(action_probs[0, action]))
            state, reward, done = env.step(action)
            rewards_history.append(reward)
            episode_reward += reward
            if done:
                break
        running_reward = 0.05 * episode_reward + (1 - 0.05) * running_reward

        # Calculate expected value from rewards, and normalize
        returns, discounted_sum = [], 0
        for r in rewards_history[::-1]:
            discounted_sum = r + gamma * discounted_sum
            returns.insert(0, discounted_sum)
        returns = ((np.array(returns) - np.mean(returns)) / (np.std(returns) + eps)).tolist()

        loss_value = 0.0
        for log_prob, value, ret in zip(action_probs_history, critic_value_history, returns):
            loss_value += -log_prob * (ret - value)
            loss_value += huber_loss(tf.reshape(value, [1, 1]), tf.constant([[ret]]))
    grads = tape.gradient(loss_value, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
    print("running reward: {:.2f} at episode {}".format(running_reward, episode + 1))
