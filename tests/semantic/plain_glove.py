"""Visual GloVe in plain NumPy and loops, written from the formulas alone, to compare ours with."""

from __future__ import annotations

import numpy as np


def cooccurrence(videos: list[list[int]], words: int, window: int, reference: bool) -> np.ndarray:
    """X as the definition says it, float64 (V, V)."""
    table = np.zeros((words, words))
    for tokens in videos:
        for i, centre in enumerate(tokens):
            for j, context in enumerate(tokens):
                if i != j and abs(i - j) <= window:
                    table[centre, context] += 1 / max(abs(j - 1), 1) if reference else 1 / abs(i - j)
    return table


class PlainGlove:
    """Float64 parameters and dense Adagrad."""

    def __init__(self, centre: np.ndarray, context: np.ndarray, x_max: float, alpha: float, rate: float) -> None:
        self.w, self.w_tilde = centre.astype(np.float64), context.astype(np.float64)
        self.b, self.b_tilde = np.zeros(len(centre)), np.zeros(len(centre))
        self.x_max, self.alpha, self.rate = x_max, alpha, rate
        self.squares = [np.zeros_like(p) for p in (self.w, self.w_tilde, self.b, self.b_tilde)]

    def loss(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> float:
        total = 0.0
        for i, j, x in zip(rows, columns, values, strict=True):
            score = float(np.dot(self.w[i], self.w_tilde[j])) + self.b[i] + self.b_tilde[j]
            weight = (x / self.x_max) ** self.alpha if x < self.x_max else 1.0
            total += weight * (score - np.log(x)) ** 2
        return total / len(values)

    def step(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> float:
        loss = self.loss(rows, columns, values)
        gradients = [np.zeros_like(p) for p in (self.w, self.w_tilde, self.b, self.b_tilde)]
        for i, j, x in zip(rows, columns, values, strict=True):
            score = float(np.dot(self.w[i], self.w_tilde[j])) + self.b[i] + self.b_tilde[j]
            slope = 2 * min(1.0, (x / self.x_max) ** self.alpha) * (score - np.log(x)) / len(values)
            gradients[0][i] += slope * self.w_tilde[j]
            gradients[1][j] += slope * self.w[i]
            gradients[2][i] += slope
            gradients[3][j] += slope
        for parameter, square, gradient in zip(
            (self.w, self.w_tilde, self.b, self.b_tilde), self.squares, gradients, strict=True
        ):
            square += gradient**2
            parameter -= self.rate * gradient / (np.sqrt(square) + 1e-10)
        return loss
