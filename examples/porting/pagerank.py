"""PageRank of a random graph by power iteration over its list of edges, and how the ranks answer to a weight.

python examples/porting/pagerank.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random

NODES, EDGES = 2000, 20000


def make_graph(key):
    """Edges (source, target); targets of low number are the popular ones."""
    source_key, target_key = random.split(key)
    source = random.randint(source_key, (EDGES,), 0, NODES)
    target = jnp.floor(NODES * random.uniform(target_key, (EDGES,)) ** 3).astype(jnp.int32)
    return source, target


def step(ranks, graph, weights, damping):
    source, target = graph
    out = xlac.ops.segment_sum(weights, source, num_segments=NODES)
    share = jnp.where(out > 0, ranks / jnp.where(out > 0, out, 1.0), 0.0)
    arrived = jnp.zeros(NODES).at[target].add(share[source] * weights)
    dangling = jnp.sum(jnp.where(out > 0, 0.0, ranks))
    return damping * (arrived + dangling / NODES) + (1 - damping) / NODES


@xlac.jit
def pagerank(graph, weights, damping=0.85, tolerance=1e-6):
    def moving(state):
        _, change, count = state
        return (change > tolerance) & (count < 200)

    def body(state):
        ranks, _, count = state
        new = step(ranks, graph, weights, damping)
        return new, jnp.abs(new - ranks).sum(), count + 1

    ranks, _, count = lax.while_loop(moving, body, (jnp.full(NODES, 1.0 / NODES), 1.0, 0))
    return ranks, count


@partial(xlac.jit, static_argnums=2)
def rank_gradient(graph, weights, node):
    """Derivative of the log rank of a node with respect to the weight of each edge, through thirty iterations."""

    def log_rank(weights):
        ranks = lax.fori_loop(0, 30, lambda _, r: step(r, graph, weights, 0.85), jnp.full(NODES, 1.0 / NODES))
        return jnp.log(ranks[node])

    return xlac.grad(log_rank)(weights)


def main():
    graph = make_graph(random.PRNGKey(13))
    weights = jnp.ones(EDGES)
    ranks, count = pagerank(graph, weights)
    best, which = lax.top_k(ranks, 5)
    gradient = rank_gradient(graph, weights, 3)
    into = jnp.sum(jnp.where(graph[1] == 3, gradient, 0.0))
    edge = jnp.argmax(gradient)
    print(f"{count} iterations; best {which} with {best}")
    print(f"edges into node 3 raise its log rank by {into:.4f}, edge {graph[0][edge]} -> {graph[1][edge]} most")
    return {"best": best, "which": which, "sum": ranks.sum(), "into": into, "target": graph[1][edge]}


if __name__ == "__main__":
    main()
