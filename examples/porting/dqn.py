"""Deep Q-learning on a windy grid: environment, replay buffer and training all in one scan; a bandit beside it.

python examples/porting/dqn.py
"""

from functools import partial
from typing import NamedTuple

import xlac
import xlac.numpy as jnp
from xlac import lax, nn, random, tree_util

SIDE, ACTIONS, CAPACITY, BATCH = 5, 4, 512, 32
MOVES = jnp.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
GOAL = jnp.array([SIDE - 1, SIDE - 1])


class Replay(NamedTuple):
    state: xlac.Array
    action: xlac.Array
    reward: xlac.Array
    following: xlac.Array
    done: xlac.Array


def environment_step(key, place, action):
    """Move, and sometimes drift down; a reward and an end at the goal."""
    drift = random.bernoulli(key, 0.1).astype(jnp.int32)
    new = jnp.clip(place + MOVES[action] + jnp.array([1, 0]) * drift, 0, SIDE - 1)
    done = jnp.all(new == GOAL)
    return new, jnp.where(done, 1.0, -0.02), done


def features(place):
    return nn.one_hot(place[..., 0] * SIDE + place[..., 1], SIDE * SIDE)


def q_values(params, place):
    hidden = jnp.tanh(features(place) @ params["w1"] + params["b1"])
    return hidden @ params["w2"] + params["b2"]


def td_loss(params, target, batch, gamma=0.95):
    q = jnp.take_along_axis(q_values(params, batch.state), batch.action[:, None], axis=1)[:, 0]
    following = q_values(target, batch.following).max(axis=1)
    goal = batch.reward + gamma * jnp.where(batch.done, 0.0, following)
    error = q - lax.stop_gradient(goal)
    return jnp.mean(jnp.where(jnp.abs(error) < 1, 0.5 * error**2, jnp.abs(error) - 0.5))


@partial(xlac.jit, static_argnums=1)
def train(key, steps):
    k1, k2, key = random.split(key, 3)
    params = {
        "w1": 0.2 * random.normal(k1, (SIDE * SIDE, 32)),
        "b1": jnp.zeros(32),
        "w2": 0.2 * random.normal(k2, (32, ACTIONS)),
        "b2": jnp.zeros(ACTIONS),
    }
    place = jnp.zeros(2, jnp.int32)
    replay = Replay(
        jnp.zeros((CAPACITY, 2), jnp.int32),
        jnp.zeros(CAPACITY, jnp.int32),
        jnp.zeros(CAPACITY),
        jnp.zeros((CAPACITY, 2), jnp.int32),
        jnp.zeros(CAPACITY, bool),
    )

    def body(carry, t):
        params, target, replay, place, key = carry
        key, explore_key, action_key, wind_key, batch_key = random.split(key, 5)
        epsilon = jnp.maximum(0.1, 1.0 - t / 500)
        greedy = jnp.argmax(q_values(params, place)).astype(jnp.int32)
        action = jnp.where(
            random.uniform(explore_key) < epsilon, random.randint(action_key, (), 0, ACTIONS, jnp.int32), greedy
        )
        new, reward, done = environment_step(wind_key, place, action)
        item = Replay(place, action, reward, new, done)
        replay = tree_util.tree_map(lambda buffer, value: buffer.at[t % CAPACITY].set(value), replay, item)

        def learn(params):
            rows = random.randint(batch_key, (BATCH,), 0, jnp.minimum(t, CAPACITY))
            batch = tree_util.tree_map(lambda buffer: buffer[rows], replay)
            loss, grads = xlac.value_and_grad(td_loss)(params, target, batch)
            return tree_util.tree_map(lambda p, g: p - 0.2 * g, params, grads), loss

        params, loss = lax.cond(t >= BATCH, learn, lambda p: (p, 0.0), params)
        target = tree_util.tree_map(lambda new, old: jnp.where(t % 50 == 0, new, old), params, target)
        place = jnp.where(done, jnp.zeros_like(place), new)
        return (params, target, replay, place, key), (loss, done)

    start = (params, params, replay, place, key)
    (params, *_), (losses, done) = lax.scan(body, start, jnp.arange(steps))
    return params, losses, done


@partial(xlac.jit, static_argnums=(1, 2))
def bandit(key, arms, pulls):
    """Thompson sampling of Bernoulli arms; how often each was pulled."""
    chances = jnp.linspace(0.1, 0.8, arms)

    def body(counts, key):
        draw_key, win_key = random.split(key)
        guess = random.normal(draw_key, (arms,)) / jnp.sqrt(counts.sum(1) + 2) * 0.5 + (counts[:, 0] + 1) / (
            counts.sum(1) + 2
        )
        arm = jnp.argmax(guess)
        win = random.bernoulli(win_key, chances[arm])
        return counts.at[arm, jnp.where(win, 0, 1)].add(1.0), win

    counts, wins = lax.scan(body, jnp.zeros((arms, 2)), random.split(key, pulls))
    return counts.sum(axis=1), wins.mean()


def main():
    params, losses, done = train(random.PRNGKey(14), 4000)
    places = jnp.stack(jnp.meshgrid(jnp.arange(SIDE), jnp.arange(SIDE), indexing="ij"), axis=-1)
    policy = jnp.argmax(q_values(params, places), axis=-1)
    for row in policy:
        print(" ".join("^v<>"[int(a)] for a in row))
    late = int(done[-1000:].sum())
    pulls, rate = bandit(random.PRNGKey(15), 8, 1000)
    print(f"goals in the last thousand steps {late}; bandit pulls {pulls}, wins {rate:.3f}")
    return {"early": losses[32:300:64], "learned": late > 80, "best_arm": jnp.argmax(pulls), "good": rate > 0.7}


if __name__ == "__main__":
    main()
