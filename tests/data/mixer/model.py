"""A small mixer (https://arxiv.org/abs/2105.01601): a PyTorch project that nothing in projects/13-conversion knows."""

import torch
import torch.nn.functional as F
from layers import Gate
from torch import nn


class Mixer(nn.Module):
    def __init__(self, places: int, channels: int, classes: int, blocks: int = 2) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(channels) for _ in range(blocks)])
        self.across = nn.ModuleList([nn.Linear(places, places) for _ in range(blocks)])
        self.along = nn.ModuleList(
            [nn.Sequential(nn.Linear(channels, channels), nn.GELU(), Gate(channels)) for _ in range(blocks)]
        )
        self.head = nn.Linear(channels, classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, across, along in zip(self.norms, self.across, self.along, strict=True):
            x = x + across(norm(x).transpose(1, 2)).transpose(1, 2)
            x = x + along(x)
        return self.head(F.relu(x.mean(dim=1)))
