"""Residual quantisation: a vector becomes a few codes, each naming what the ones before left over."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from baselines.item_ids.text_vectors import Vectors

Codes = NDArray[np.int64]

HIDDEN, LATENT = (512, 256, 128), 32
"""Widths of the RQ-VAE's encoder, as in the public re-implementations of TIGER; the decoder mirrors it."""

COMMITMENT = 0.25
BATCH_SIZE, EPOCHS, MAX_STEPS, LEARNING_RATE = 1024, 60, 1200, 2e-3
"""Steps of the RQ-VAE: half a minute for 12,000 items on one core, and a bound for a million."""

SAMPLE = 65536
"""Most vectors that codebooks start from; they hold 256 means a level."""

KMEANS_ITERATIONS = 30


class Quantiser(StrEnum):
    """How codebooks are found."""

    RQ_VAE = "rq-vae"
    """An autoencoder whose latent vector is quantised (Lee et al. 2022, arXiv 2203.01941)."""
    RQ_KMEANS = "rq-kmeans"
    """k-means of the vectors, then of what it leaves over, and so on."""


def quantise(
    vectors: Vectors,
    quantiser: Quantiser,
    *,
    levels: int,
    size: int,
    widths: tuple[int, ...] = (*HIDDEN, LATENT),
    masked: float = 0.0,
    steps: int = MAX_STEPS,
) -> Codes:
    """Return the codes of n vectors [n, d], int64 [n, levels] below `size`.

    Vectors are centred and scaled as a whole. Dividing each dimension by its own deviation instead
    would make the last dimensions of word vectors, which tell little, as weighty as the first: with
    it, a quarter more items shared their codes on Amazon Beauty, and codes followed categories less.
    Randomness comes from torch's global generator. Codebooks are no larger than the catalogue.

    Args:
        vectors: What is quantised.
        quantiser: How codebooks are found.
        levels: Codebooks.
        size: Codes of each.
        widths: Layers of an RQ-VAE's encoder; the last is the width of the vectors that are quantised.
        masked: Chance with which an RQ-VAE in training reads 0 in place of a value.
        steps: Most steps that an RQ-VAE is trained.

    """
    data = torch.from_numpy(vectors - vectors.mean(0))
    data /= data.std().clamp(min=1e-6)
    layer_widths = (data.shape[1], *widths) if quantiser is Quantiser.RQ_VAE else ()
    model = ResidualAutoencoder(layer_widths, levels, min(size, len(data)), masked)
    model.start(data)
    if quantiser is Quantiser.RQ_VAE:
        _fit(model, data, steps)
    codes: Codes = model.codes(data).numpy()
    return codes


class ResidualAutoencoder(nn.Module):
    """Encoder, residual quantiser and decoder; without widths the vectors themselves are quantised.

    Codebooks start as k-means and move with what falls to them; encoder and decoder learn by gradient.

    Args:
        widths: Widths of the encoder's layers, that of the vectors that are encoded first; empty for no encoder.
        levels: Codebooks.
        size: Codes of each.
        masked: Chance with which a value that is encoded reads 0 in training.

    """

    def __init__(self, widths: Sequence[int], levels: int, size: int, masked: float = 0.0) -> None:
        super().__init__()
        self._levels, self._size, self._masked = levels, size, masked
        self.encoder, self.decoder = _layers(widths), _layers(widths[::-1])
        self.quantiser: nn.Module = nn.Identity()

    def start(self, data: Tensor) -> None:
        """Find the first codebooks by k-means on encoded vectors [n, d]."""
        from vector_quantize_pytorch import ResidualVQ

        with torch.no_grad():
            sample = self.encoder(data[torch.randperm(len(data))[:SAMPLE]])
            self.quantiser = ResidualVQ(
                dim=sample.shape[1],
                num_quantizers=self._levels,
                codebook_size=self._size,
                kmeans_init=True,
                kmeans_iters=KMEANS_ITERATIONS,
                commitment_weight=COMMITMENT,
                decay=0.99,
                threshold_ema_dead_code=1 if len(self.encoder) else 0,
                sync_codebook=False,  # under torchrun each process makes all codes, the same as one process
                sync_kmeans=False,
            )
            self.quantiser(sample[None])

    def forward(self, data: Tensor) -> Tensor:
        """Return the loss of a batch [B, d]: how far its reconstruction is, and its latents from their codes."""
        read = data if self._masked == 0 else data * (torch.rand_like(data) >= self._masked)
        latent, _, commitment = self.quantiser(self.encoder(read)[None])
        loss: Tensor = functional.mse_loss(self.decoder(latent[0]), data) + commitment.sum()
        return loss

    @torch.no_grad()
    def codes(self, data: Tensor) -> Tensor:
        """Return the codes of vectors [n, d], int64 [n, levels]."""
        self.eval()
        return torch.cat([self.quantiser(self.encoder(rows)[None])[1][0] for rows in data.split(SAMPLE)])


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _fit(model: ResidualAutoencoder, data: Tensor, most: int) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    model.train()
    steps = 0
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(data)).split(BATCH_SIZE):
            optimiser.zero_grad()
            model(data[rows]).backward()
            optimiser.step()
            steps += 1
            if steps == most:
                return
