"""List the simulated cards, as a vendor's tool lists real ones. SIM_CARDS and SIM_MEMORY set how many and how large."""

import os

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def main() -> None:
    memory = os.environ.get("SIM_MEMORY") or "16G"
    size = float(memory.rstrip("KMGT")) * UNITS.get(memory[-1], 1)
    for card in range(int(os.environ.get("SIM_CARDS") or "8")):
        print(f"card {card}: simulated card, {int(size / 2**20)} MiB")


if __name__ == "__main__":
    main()
