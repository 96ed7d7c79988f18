"""Train the GPT on a line of text and let it write."""

import torch
import torch.nn.functional as F
from model import GPT

TEXT = "the quick brown fox jumps over the lazy dog. " * 20


def batch(data, size, length):
    starts = torch.randint(0, len(data) - length - 1, (size,)).tolist()
    inputs = torch.stack([data[start : start + length] for start in starts])
    targets = torch.stack([data[start + 1 : start + length + 1] for start in starts])
    return inputs, targets


@torch.no_grad()
def generate(model, index, count):
    model.eval()
    for _ in range(count):
        logits = model(index[:, -model.length :])[:, -1]
        index = torch.cat([index, torch.argmax(logits, dim=-1, keepdim=True)], dim=1)
    return index


def main():
    torch.manual_seed(0)
    letters = sorted(set(TEXT))
    data = torch.tensor([letters.index(letter) for letter in TEXT])
    model = GPT(len(letters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(40):
        inputs, targets = batch(data, 8, 32)
        logits = model(inputs)
        loss = F.cross_entropy(logits.view(-1, len(letters)), targets.view(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print("loss", loss.item())
    print("".join(letters[i] for i in generate(model, data[:8].unsqueeze(0), 20)[0].tolist()))


if __name__ == "__main__":
    main()
