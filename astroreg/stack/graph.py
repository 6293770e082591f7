"""Which pairs of a stack are measured, and how the images hang together by them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.stack.geometry import Layout

__all__ = ["chosen_pairs", "component_of", "triangles"]

SAME_OVERLAP = 0.1  # overlaps that differ by less are as good as each other


def chosen_pairs(
    layout: Layout, groups: Sequence[int], *, reference: int | None, min_overlap: float, neighbours: int
) -> list[tuple[int, int]]:
    """Choose the pairs to be measured.

    Parameters
    ----------
    layout : Layout
        Where the images lie.
    groups : sequence of int
        The group of each; images of one group are not compared.
    reference : int or None
        An image: only pairs with its group are chosen. None: all images are equal.
    min_overlap : float
        Least overlap, as a fraction of the smaller image.
    neighbours : int
        Pairs an image beyond which not all pairs are measured.

    Returns
    -------
    list of tuple of int
        (reference, image), in ascending order.
    """
    near = [pair for pair in layout.near() if groups[pair[0]] != groups[pair[1]]]
    if reference is not None:
        fixed = groups[reference]
        near = [(i, j) if groups[i] == fixed else (j, i) for i, j in near if fixed in (groups[i], groups[j])]
    overlaps = np.array([layout.overlap(*pair) for pair in near])
    kept = np.flatnonzero(overlaps >= min_overlap)
    pairs, overlaps = [near[k] for k in kept], overlaps[kept]
    if reference is None and 2 * len(pairs) > neighbours * len(groups):
        pairs = _thinned(pairs, overlaps, len(groups), neighbours)
    return sorted(pairs)


def _thinned(
    pairs: list[tuple[int, int]], overlaps: np.ndarray, n_images: int, neighbours: int
) -> list[tuple[int, int]]:
    """Keep what holds all together, and the best `neighbours` pairs of each image."""
    # Imported here: it loads all solvers of scipy.sparse.linalg.
    from scipy.sparse.csgraph import minimum_spanning_tree

    # Between pairs as good as each other chance decides, so that no image is far from any other.
    order = np.round(overlaps / SAME_OVERLAP) + 0.5 * np.random.default_rng(0).random(len(pairs))
    i, j = np.array(pairs).T
    tree = minimum_spanning_tree(
        scipy.sparse.coo_array((order.max() + 1 - order, (i, j)), shape=(n_images, n_images))
    )
    kept = set(zip(*(axis.tolist() for axis in tree.nonzero()), strict=True))
    degree = np.zeros(n_images, int)
    for first, second in kept:
        degree[[first, second]] += 1
    for k in np.argsort(-order):
        if pairs[k] not in kept and degree[i[k]] < neighbours and degree[j[k]] < neighbours:
            kept.add(pairs[k])
            degree[[i[k], j[k]]] += 1
    return list(kept)


def component_of(n_nodes: int, edges: np.ndarray, node: int | None) -> np.ndarray:
    """Return which nodes hang together with a node, or make up the largest part of the graph.

    Parameters
    ----------
    n_nodes : int
        Number of nodes.
    edges : ndarray of int, shape (n, 2)
        The edges.
    node : int or None
        A node of the part that is wanted.

    Returns
    -------
    ndarray of bool, shape (n_nodes,)
    """
    i, j = np.asarray(edges, int).reshape(-1, 2).T
    from scipy.sparse.csgraph import connected_components

    graph = scipy.sparse.coo_array((np.ones(len(i)), (i, j)), shape=(n_nodes, n_nodes))
    _, labels = connected_components(graph, directed=False)
    wanted = labels[node] if node is not None else np.bincount(labels).argmax()
    return labels == wanted


def triangles(edges: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int, int]]:
    """Return triples of nodes that are all joined, at most a number of them.

    Parameters
    ----------
    edges : sequence of tuple of int
        The edges.
    most : int
        Where to stop.

    Returns
    -------
    list of tuple of int
        In ascending order.
    """
    beyond: dict[int, set[int]] = {}
    for first, second in edges:
        beyond.setdefault(min(first, second), set()).add(max(first, second))
    found: list[tuple[int, int, int]] = []
    for first in sorted(beyond):
        for second, third in combinations(sorted(beyond[first]), 2):
            if third in beyond.get(second, ()):
                found.append((first, second, third))
                if len(found) == most:
                    return found
    return found
