"""A config.json in which one key is another: refused by name, or the logits are transformers'.

changes.py has the changes, and changes.npz what transformers makes of those that are read here; one that is read and
stands not there is an error of transformers', or was never asked (changes_reference.py asks).
"""

import json

import llm
import numpy as np
import pytest
from llm import exact
from llm.model import Flat
from llm.safetensors_file import Shards
from llm.tensors import Weights, expected_shapes, in_folder
from llm.vision_config import TOWERS, vision_config
from test_families import ALLOWED, FAMILIES, cases

import changes  # isort: skip

ASKED = np.load(FAMILIES / "changes.npz")
VERDICTS = json.loads(str(ASKED["verdicts"]))  # by case and change: which shapes, and which logits


def read(config):
    """The decoder and the tensors of the tower. Raises ModelError."""
    found, (name, _) = llm.families.from_hugging_face(config), llm.families.family_of(config)
    return found, list(vision_config(name, config.get("vision_config")).shapes()) if name in TOWERS else []


def logits(folder, config, decoder, tower, shapes):
    cases.write_folder(folder, {**config, "vocab_size": 1}, {name: tuple(shape) for name, shape in shapes.items()})
    wanted, file = expected_shapes(decoder), Flat(Shards(folder)) if tower else Shards(folder)
    pieces = in_folder(llm.families.family_of(config)[0], decoder, wanted)
    weights = Weights(folder, file, wanted, pieces, [*tower, "lm_head.weight"])
    return changes.kept(exact.logits(decoder, weights, changes.PROMPT % decoder.vocabulary))


@pytest.mark.parametrize("case", list(changes.CASES))
def test_one_key_that_is_another(case, tmp_path):
    known, read_here = {}, 0
    for place, value in [("", None), *changes.changes(case)]:
        config = changes.changed(changes.CASES[case], place, value) if place else changes.CASES[case]
        try:
            decoder, tower = read(config)
        except llm.ModelError as error:
            assert place and 10 < len(str(error)) < 600, place
            continue
        key = changes.key(place, value)
        assert key in VERDICTS[case], f"{key} is read here, and transformers has an error or was not asked"
        shapes, row = VERDICTS[case][key]
        model = repr((decoder, shapes))
        if model not in known:
            known[model] = logits(tmp_path, config, decoder, tower, json.loads(str(ASKED["shapes"][shapes])))
        off = np.linalg.norm(known[model] - ASKED["logits"][row]) / np.linalg.norm(ASKED["logits"][row])
        assert off < 4 * ALLOWED, key  # of fewer numbers than its bound is for
        read_here += 1
    assert read_here > 40
