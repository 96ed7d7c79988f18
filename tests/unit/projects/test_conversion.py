"""Task 13-1: what is mended before PaConvert, what stays open, and where a line of the person's file went."""

import ast
import json

import numpy as np
import pytest


@pytest.fixture
def mending(load):
    return load("13-conversion/mending.py")


@pytest.fixture
def leftovers(load):
    return load("13-conversion/leftovers.py")


@pytest.fixture
def places(load):
    return load("13-conversion/places.py")


@pytest.fixture
def sources(load):
    return load("13-conversion/sources.py")


@pytest.fixture
def running(load):
    return load("13-conversion/running.py")


def mended(mending, text, paddle=()):
    tree = ast.parse(text)
    mender = mending.Mender(mending.rules(paddle), mending.Names(tree), "a.py", {"vit_pytorch"})
    return mending.name_helpers(ast.unparse(mender.visit(tree))), mender


HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("net.requires_grad_(False)", "net.requires_grad_(False)"),
        ("x.dtype == torch.uint8", "x.dtype == mended.uint8"),
        ("F.cross_entropy(a, b)", "mended.F.cross_entropy(a, b)"),
        ("torch.optim.AdamW(p, lr=1)", "mended.AdamW(p, lr=1)"),
        ("nn.Embedding(3, 4, padding_idx=0)", "mended.Embedding(3, 4, padding_idx=0)"),
        ("nn.init.kaiming_uniform_(w)", "mended.kaiming_uniform_(w)"),
        ("x.gather(1, i)", "mended.gather(x, 1, i)"),
        ("x.median(1)[0]", "mended.median(x, 1)[0]"),
        ("[m for m in net.modules()]", "[m for m in net.modules()]"),
        ("isinstance(m, nn.Linear)", "isinstance(m, mended.Linear)"),
        ("torch.from_numpy(a)", "mended.from_numpy(a)"),
        ("torch.add(a, b, out=c)", "mended.into(mended.add(a, b), c)"),
        ("torch.exp(a, out=c)", "mended.into(torch.exp(a), c)"),
        ("torch.add(a, b, out=None)", "mended.add(a, b)"),
        ("F.relu(input=a, inplace=True)", "mended.F.relu(a, inplace=True)"),
        ("torch.where(c, input=a, other=b)", "mended.where(c, input=a, other=b)"),
        ("self.norm(x)", "self.norm(x)"),
        ("super().train()", "super().train()"),
        ("a, b = x.shape", "a, b = x.shape"),
        ("x.shape == (2, 3)", "mended.shape(x) == (2, 3)"),
        ("getattr(nn, kind)(3)", "mended.layer_of(kind)(3)"),
        ("getattr(torch, 'add')(a, b)", "mended.add(a, b)"),
        ("getattr(torch, 'sin')(a)", "torch.sin(a)"),
        ("hasattr(F, 'scaled_dot_product_attention')", "True"),
        ("hasattr(torch.backends, 'mps')", "True"),
        ("x.is_sparse", "mended.is_sparse(x)"),
        ("thread.start()", "thread.start()"),
        ("@torch.jit.script\ndef f(x): pass", "@mended.compile\ndef f(x):\n    pass"),
        ("@torch.no_grad\ndef f(x): pass", "@torch.no_grad()\ndef f(x):\n    pass"),
        ("net = nn.DataParallel(net)", "net = mended.not_converted('a.py:4: nn.DataParallel')(net)"),
        ("from timm import models", "mended.not_converted('a.py:4: from timm import models')"),
    ],
)
def test_a_name_of_pytorch_is_replaced_by_one_that_means_the_same(mending, before, after):
    assert mended(mending, HEAD + before)[0].endswith(f"\n{after}")


def test_a_variable_may_have_the_name_of_the_projects_own_module(mending):
    text = "import vit_pytorch\ndef f(vit_pytorch):\n    return vit_pytorch.size(0)"
    assert mended(mending, text)[0].endswith("return mended.size(vit_pytorch, 0)")


def test_a_rule_falls_away_with_the_version_that_does_not_need_it(mending):
    assert mended(mending, HEAD + "x.shape == (2, 3)", ["Size"])[0].endswith("\nx.shape == (2, 3)")


@pytest.mark.parametrize(
    ("use", "opened"),
    [
        ("datasets.MNIST('.')", 0),
        ("transforms.ToTensor()", 0),
        ("datasets.SVHN('.')", 1),
        ("transforms.ColorJitter(0.5)", 1),
    ],
)
def test_of_torchvision_what_has_no_rule_is_open(mending, use, opened):
    tree = ast.parse(f"from torchvision import datasets, transforms\n{use}")
    mender = mending.Mender(mending.rules(()), mending.Names(tree))
    mender.visit(tree)
    assert len(mender.open) == opened


FUNCTIONS = ("activations.py", "functions.py", "losses.py", "pictures.py")


def test_every_rule_names_something_that_is_there(mending):
    """A name without a function would fail only when a converted project reaches it."""
    tops, functions = set(), set()
    for path in (mending.HERE / "mended").glob("*.py"):
        names = functions if path.name in FUNCTIONS else tops
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    text = (mending.HERE / "mended" / "arithmetic.py").read_text()
    rules = mending.rules(())
    missing = set()
    for name in {*rules.names.values(), *rules.methods.values(), *rules.attributes.values()}:
        known = functions if name.startswith("F.") else tops
        short = name.removeprefix("F.").removeprefix("vision.").removeprefix("resnet.")
        if short not in known and short.rstrip("_") not in text and not short.endswith("d"):
            missing.add(name)
    assert not missing


def test_every_layer_without_weights_calls_a_function_that_is_there(mending):
    known = set()
    for name in FUNCTIONS:
        for node in ast.walk(ast.parse((mending.HERE / "mended" / name).read_text())):
            if isinstance(node, ast.FunctionDef):
                known.add(node.name)
            elif isinstance(node, ast.ImportFrom):
                known |= {each.asname or each.name for each in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
    tree = ast.parse((mending.HERE / "mended" / "plain.py").read_text())
    (called,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
                 and ast.unparse(node.targets[0]) == "_of.names")  # fmt: skip
    assert not {each.value for each in called.values} - known


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("getattr(torch, name)()", "when the program runs: choose from a dictionary, {'…': torch.…}"),
        ("hasattr(torch, 'vmap')", "keep the branch that you mean"),
        ("torch.foo = 3", "is replaced here"),
        ("torch.nn.utils.weight_norm(m)", "ends Paddle 3.0's process"),
        ("torch.jit.trace(m, x)", "to_static"),
        ("x.register_hook(f)", "another time"),
    ],
)
def test_what_no_function_of_paddle_does_is_open_with_a_hint(mending, line, hint):
    (found,) = mended(mending, HEAD + line)[1].open
    assert found.line == 4 and hint in found.hint


def test_torch_that_a_file_does_not_import_is_named_so(mending):
    (found,) = mended(mending, "from common import *\ntorch.zeros(3)")[1].open
    assert (found.line, found.text, found.hint) == (2, "torch", "this file does not import it: import it here")


@pytest.mark.parametrize(
    "line",
    [
        "import torchmetrics",
        "import safetensors.torch",
        "from pytorch_lightning import Trainer",
        "kind = 'torch.float32'",
        "importlib.import_module('torch.nn')",
        "exec('import torch')",
    ],
)
def test_pytorch_where_paconvert_does_not_look_is_open(mending, line):
    text, mender = mended(mending, line)
    (found,) = mender.open
    assert found.line == 1 and found.hint and "mended.not_converted" in text


@pytest.mark.parametrize(
    "line",
    [
        "'''How to use torch.nn here.'''",
        "print('torch is fast')",
        "import torch.nn",
        "from vit_pytorch import ViT",
        "f'torch.{x}'",
    ],
)
def test_talk_of_pytorch_and_the_projects_own_packages_are_not_open(mending, line):
    text, mender = mended(mending, line)
    assert mender.open == [] and text == ast.unparse(ast.parse(line))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(x: 'torch.Tensor') -> 'torch.Tensor': pass", "def f(x: 'torch.Tensor') -> 'torch.Tensor':\n    pass"),
        ("def f(x: list['torch.Tensor']): pass", "def f(x: \"list['torch.Tensor']\"):\n    pass"),
        ("def f(g: torch.distributed.Group): pass", "def f(g: 'torch.distributed.Group'):\n    pass"),
        ("x: torch.dtype = torch.float", "x: mended.dtype = mended.float32"),
        ("x: 'torch.dtype' = torch.float", "x: 'torch.dtype' = mended.float32"),
    ],
)
def test_an_annotation_is_no_open_line_and_does_not_end_the_program(mending, before, after):
    text, mender = mended(mending, HEAD + before)
    assert text.endswith(f"\n{after}") and mender.open == []


def test_a_statement_that_paconvert_marked_ends_the_program_and_stays_as_a_comment(leftovers):
    text = "def f(x):\n    y = 1\n>>>>>>    for a in torch.foo(\n        x):\n        y += a\n    return y\n"
    stopped, lines = leftovers.stopped(text, [1, 2, 4, 5, 6, 7], "a.py")
    rows = stopped.splitlines()
    assert rows[2] == "    mended.not_converted('a.py:4: for a in torch.foo(')"
    assert rows[3:6] == ["    # for a in torch.foo(", "    #     x):", "    #     y += a"] and len(rows) == len(lines)
    assert dict(zip(rows, lines, strict=True))["    return y"] == 7
    ast.parse(stopped)


def test_a_mark_stays_open_whatever_is_in_the_line(leftovers):
    """`x.median(1)` has no torch in it, and PaConvert marks it."""
    (found,) = leftovers.in_result(">>>>>>    return x.median(1)[0]\n", [7], set())
    assert (found.line, found.text) == (7, "return x.median(1)[0]")


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("while e_0.sum() > 1:\n    x = x - 1", {2}),
        ("f = lambda x: e_0 + 1", {2}),
        ("y = [e_0 for x in z]", {2}),
        ("y = e_0 + 1", set()),
        ("y = [own_1 for own_1 in z]", set()),
    ],
)
def test_what_paconvert_computes_before_a_loop_or_a_function_is_open(leftovers, line, rows):
    text = f"e_0 = paddle.exp(x)\n{line}\nown_1 = 2\n"
    marked, early = leftovers.computed_early(text, {"own_1", "x"})
    assert early == rows and marked.count(">>>>>>") == len(rows)
    assert all(each.hint == leftovers.EARLY for each in leftovers.in_result(marked, [1, 2, 3, 4], early))


@pytest.mark.parametrize(
    ("kind", "ours", "equal"),
    [("bfloat16", 1 + 2**-7, True), ("bfloat16", 1 + 2**-6, False), ("float16", 1 + 2**-9, False)],
)
def test_halves_may_differ_by_one_unit_in_the_last_place(running, kind, ours, equal):
    one, other = ((kind, (1,), np.array([each], "float32")) for each in (1.0, ours))
    assert (running.comparing.difference(one, other)[0] == 0) == equal
    wide = ("float32", *other[1:])
    assert running.comparing.difference(one, wide)[0] == float("inf")  # of another type


@pytest.mark.parametrize(
    ("blocks", "spread"),
    [
        ("import torch\nfrom torch import nn\nimport numpy as np\n_x = 1\n", "import torch\nfrom torch import nn"),
        ("from torch.nn import functional as F\nimport torch as _t\n", "from torch.nn import functional as F"),
        ("__all__ = ['nn']\nimport torch\nfrom torch import nn\n", "from torch import nn"),
        ("from .more import *\n", "import torchvision"),
    ],
)
def test_what_a_star_brings_of_pytorch_is_imported_by_name(load, tmp_path, blocks, spread):
    (tmp_path / "blocks.py").write_text(blocks)
    (tmp_path / "more.py").write_text("import torchvision\nfrom .blocks import *\n")
    tree = ast.parse("from blocks import *\nx = 1")
    load("13-conversion/stars.py").spread(tree, tmp_path / "net.py", tmp_path)
    assert ast.unparse(tree) == f"from blocks import *\n{spread}\nx = 1"


TEXT = """x = 1  # one
# before the loop
for i in range(3):  # three
    # inside
    print(i)
    # at the end of the loop
y = [
    1,  # in brackets
]
# last
"""


def test_comments_come_back_and_lines_are_known(places):
    tree = ast.parse(TEXT)
    kept = places.comments(TEXT, tree)
    text, lines = places.restore(ast.unparse(places.mark(tree)), kept)
    assert all(
        comment in text for comment in ("# one", "# before", "# three", "# inside", "# at the end", "# in br", "# last")
    )
    rows = text.splitlines()
    assert [lines[rows.index(row)] for row in rows if row.lstrip().startswith(("for", "print", "y ="))] == [3, 5, 7]
    assert ast.unparse(ast.parse(text)) == ast.unparse(ast.parse(TEXT))


def test_a_file_says_its_encoding_or_is_named(sources, tmp_path):
    path = tmp_path / "old.py"
    path.write_bytes("# -*- coding: gbk -*-\nname = '飞桨'\n".encode("gbk"))
    assert sources.read(path) == "# -*- coding: utf-8 -*-\nname = '飞桨'\n"
    path.write_bytes("name = '飞桨'\n".encode("gbk"))
    with pytest.raises(sources.Unreadable, match="save it as UTF-8"):
        sources.read(path)


def test_a_notebook_is_its_code_cells(sources):
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch\n"]},
        {"cell_type": "code", "source": ["!pip install x\n", "print(1)"]},
    ]
    assert (
        sources.notebook(json.dumps({"cells": cells}))
        == "# %matplotlib inline\nimport torch\n\n# !pip install x\nprint(1)\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "is_script"),
    [
        ("a.py", "if __name__ == '__main__':\n    print()\n", True),
        ("a.py", "for epoch in range(2):\n    pass\n", True),
        ("a.py", "x = torch.ones(2)\ntorch.save(x, 'a.pt')\n", True),
        ("a.py", '"""A module."""\nimport paddle\nWIDTH = 3\nclass Net: pass\n', False),
        ("setup.py", "from setuptools import setup\nsetup(name='x')\n", False),
        ("test_a.py", "print(1)\n", False),
    ],
)
def test_a_script_is_a_file_that_does_something(sources, tmp_path, name, text, is_script):
    (tmp_path / name).write_text(text)
    assert bool(sources.scripts(tmp_path)) == is_script


def test_a_file_that_another_one_imports_is_no_script(sources, tmp_path):
    (tmp_path / "data.py").write_text("letters = sorted('text')\n")
    (tmp_path / "train.py").write_text("import data\nprint(data.letters)\n")
    assert [str(path) for path in sources.scripts(tmp_path)] == ["train.py"]


def test_a_file_that_is_no_python_keeps_no_other_from_being_run(sources, running, tmp_path):
    (tmp_path / "old.py").write_text("print 'python 2'\n")
    (tmp_path / "train.py").write_text("def f(): pass\nf()\n")
    assert [str(path) for path in sources.scripts(tmp_path)] == ["train.py"]
    assert running.functions(tmp_path, ["old.py", "train.py"]) == {("train.py", 1): "f"}


def test_a_script_with_relative_imports_is_run_as_a_module(running, tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "run.py").write_text("from .a import f\nif __name__ == '__main__':\n    f()\n")
    assert running.commands(tmp_path) == [["-m", "pkg.run"]]


def test_scripts_are_asked_for_with_their_arguments(running):
    assert running.asked("python train.py --epochs 1; -m pkg.run 'a b'; 试验.ipynb a.ipynb") == [
        ["train.py", "--epochs", "1"],
        ["-m", "pkg.run", "a b"],
        ["试验.py", "a.ipynb"],
    ]


def test_an_error_that_is_understood_has_a_hint(running):
    assert "requires=einops" in running.hint({"reason": "No module named 'einops'"})
    assert running.hint({"reason": "division by zero"}) == ""


# Planted faults


def judged(running, monkeypatch, tmp_path, theirs, ours):
    """The verdict on a script of which the two sides left these events and faults."""
    comparing = running.comparing
    records = {
        side: comparing.Record([("print", "main.py", 3, [text])], ended=True, fault=fault)
        for side, (text, fault) in {"torch": theirs, "paddle": ours}.items()
    }
    runner = running.Runner(tmp_path, tmp_path, {"main.py": [0, 1, 2, 3]}, running.Pytorch("python"), "cpu", 9, {})
    monkeypatch.setattr(runner, "_observe", lambda side, *_: (records[side], None))
    return runner.run(["main.py"])


FAULT = {"place": ("main.py", 4, "f()"), "type": "NameError", "reason": "f is not defined"}


@pytest.mark.plants("13-1", "ran", "differs")
@pytest.mark.parametrize(
    ("ours", "failing", "said"),
    [
        (("median 3.0", None), set(), "runs, equal (1 values)"),
        (
            ("median 3.5", None),
            {"differs"},
            "runs, DIFFERS at main.py:3: printed: 'median 3.0', in Paddle 'median 3.5'",
        ),
        (("", FAULT), {"ran"}, "FAILED main.py:3: NameError: f is not defined"),
    ],
    ids=["equal", "another number", "an error"],
)
def test_a_script_that_computes_something_else_or_fails_is_named(
    running, monkeypatch, verdict, tmp_path, ours, failing, said
):
    found = judged(running, monkeypatch, tmp_path, ("median 3.0", None), ours)
    assert str(found) == said
    metrics = running.summary([found])
    assert {name for name in ("ran", "differs") if verdict("13-1", name, metrics) == "failed"} == failing


def test_a_script_that_pytorch_does_not_run_is_not_compared(running, monkeypatch, tmp_path):
    found = judged(running, monkeypatch, tmp_path, ("", FAULT), ("median 3.0", None))
    assert str(found).startswith("runs, not compared, because PyTorch's own run fails: main.py:4")


@pytest.mark.plants("13-1", "functions", "functions_executed")
def test_a_function_that_is_not_run_fails(running, verdict, tmp_path):
    (tmp_path / "main.py").write_text("def used():\n    return 1\n\ndef unused():\n    return 2\n")
    defined = running.functions(tmp_path, ["main.py"])
    executed = {("main.py", 1)}
    metrics = {"functions": len(defined), "functions_executed": len(executed & set(defined)) / len(defined)}
    assert verdict("13-1", "functions_executed", metrics) == "failed"
    assert verdict("13-1", "functions", {"functions": len(running.functions(tmp_path, []))}) == "failed"
