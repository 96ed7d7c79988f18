"""Train the ViT to tell in which quarter of the picture the light is."""

import torch
import torch.nn as nn
from model import ViT
from torch.utils.data import DataLoader, Dataset


class Lights(Dataset):
    def __init__(self, count):
        self.labels = torch.arange(count) % 4
        self.images = torch.randn(count, 3, 16, 16) * 0.1
        for i in range(count):
            row, column = divmod(int(self.labels[i]), 2)
            self.images[i, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 1.0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


def accuracy(model, loader):
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in loader:
            right += (model(images).argmax(dim=1) == labels).sum().item()
    return right / len(loader.dataset)


def main():
    torch.manual_seed(0)
    loader = DataLoader(Lights(64), batch_size=16, shuffle=True)
    model = ViT()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    for _ in range(4):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
    print("loss", loss.item(), "accuracy", accuracy(model, loader))


if __name__ == "__main__":
    main()
