"""Train the CNN with momentum and a schedule, save it, load it again."""

import os
import tempfile

import torch
import torch.nn as nn
import torch.optim as optim
from model import CNN


def pictures(count):
    labels = torch.arange(count) % 4
    images = torch.randn(count, 3, 16, 16) * 0.1
    for i in range(count):
        images[i, int(labels[i]) % 3] += 0.5 * (int(labels[i]) + 1)
    return images, labels


def save_and_load(model):
    path = os.path.join(tempfile.mkdtemp(), "cnn.pt")
    torch.save(model.state_dict(), path)
    other = CNN()
    other.load_state_dict(torch.load(path))
    return other


def main():
    torch.manual_seed(0)
    images, labels = pictures(64)
    model = CNN()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
    other = save_and_load(model).eval()
    with torch.no_grad():
        print("loss", loss.item(), "accuracy", (other(images).argmax(dim=1) == labels).float().mean().item())


if __name__ == "__main__":
    main()
