"""Conway's Game of Life three ways: rolls, a convolution, and 32 cells in each word with bit operations.

python examples/porting/game_of_life.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random

SIZE = 128


def step_roll(board):
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    neighbours = sum(jnp.roll(board, shift, axis=(0, 1)) for shift in shifts)
    return ((neighbours == 3) | ((neighbours == 2) & (board == 1))).astype(board.dtype)


def step_conv(board):
    window = jnp.ones((1, 1, 3, 3), jnp.int32).at[0, 0, 1, 1].set(0)
    wrapped = jnp.pad(board.astype(jnp.int32), 1, mode="wrap")
    neighbours = lax.conv_general_dilated(wrapped[None, None], window, (1, 1), "VALID")[0, 0]
    return jnp.where(board == 1, (neighbours == 2) | (neighbours == 3), neighbours == 3).astype(board.dtype)


def pack(board):
    """uint32[rows, columns / 32]: bit i of a word is cell 32 * word + i."""
    bits = board.reshape(board.shape[0], -1, 32).astype(jnp.uint32)
    return jnp.sum(bits << jnp.arange(32, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)


def unpack(words):
    bits = (words[..., None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return bits.reshape(words.shape[0], -1).astype(jnp.uint8)


def step_bits(words):
    """All 32 cells of a word at once: neighbours are counted in binary, one word for each bit of the count."""
    west = (words << 1) | (jnp.roll(words, 1, axis=1) >> 31)
    east = (words >> 1) | (jnp.roll(words, -1, axis=1) << 31)
    rows = [jnp.roll(w, s, axis=0) for s in (-1, 1) for w in (west, words, east)] + [west, east]
    ones, twos, fours = (jnp.zeros_like(words) for _ in range(3))
    for row in rows:
        carry = ones & row
        ones = ones ^ row
        fours = fours | (twos & carry)
        twos = twos ^ carry
    return twos & ~fours & (ones | words)


@partial(xlac.jit, static_argnums=(0, 2))
def evolve(step, board, generations):
    """The last board, and the population of each generation."""

    def body(board, _):
        board = step(board)
        if board.dtype == jnp.uint32:
            return board, lax.population_count(board).sum(dtype=jnp.int32)
        return board, board.sum(dtype=jnp.int32)

    return lax.scan(body, board, None, length=generations)


def main():
    board = random.bernoulli(random.PRNGKey(9), 0.35, (SIZE, SIZE)).astype(jnp.uint8)
    rolled, population = evolve(step_roll, board, 200)
    convolved, _ = evolve(step_conv, board, 200)
    words, counted = evolve(step_bits, pack(board), 200)
    same = jnp.array_equal(rolled, convolved) & jnp.array_equal(rolled, unpack(words))
    print(f"population {board.sum()} -> {population[-1]}, the three agree: {same}")
    return {
        "population": population[::40],
        "counted": counted[::40],
        "same": same,
        "checksum": lax.reduce(words, jnp.uint32(0), lax.bitwise_xor, (0,)),
    }


if __name__ == "__main__":
    main()
