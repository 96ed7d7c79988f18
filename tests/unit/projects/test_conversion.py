"""Task 13-1: what PaConvert leaves is mended by rules, or reported by file and line."""

import pytest


@pytest.fixture
def mending(load):
    return load("13-conversion/mending.py")


CASES = {
    "absolute path": ('import sys\n\nsys.path.append("/tmp/x")\nimport paddle\n', "import paddle\n"),
    "view in backward": ("return paddle.view(self, list(args))", "return paddle.reshape(self, list(args))"),
    "view of a tuple in backward": (
        "return paddle.view(self, args[0])",
        "return paddle.view(self, args[0]) if isinstance(args[0], str) else paddle.reshape(self, args[0])",
    ),
    "eval gives nothing": ("    net = Net(3).eval()\n", "    net = Net(3)\n    net.eval()\n"),
    "kaiming_normal_": (">>>>>>    torch.nn.init.kaiming_normal_(\n        w)\n", "    kaiming_normal_(\n        w)\n"),
    "random start of a linear layer": (
        "l = paddle.nn.Linear(in_features=3, out_features=4)\nisinstance(l, paddle.nn.Linear)\n",
        "l = Linear(in_features=3, out_features=4)\nisinstance(l, paddle.nn.Linear)\n",
    ),
    "random start of a convolution": (
        "c = paddle.nn.Conv2D(\n    in_channels=3)\n",
        "c = Conv2D(\n    in_channels=3)\n",
    ),
    "SGD": (">>>>>>    o = torch.optim.SGD(p, lr=1)\n", "    o = SGD(p, lr=1)\n"),
}


def test_every_rule_has_a_case(mending):
    assert {rule.name for rule in mending.rules()} == set(CASES)


def test_what_a_rule_needs_is_imported(mending):
    text, _ = mending.mend("import paddle\nl = paddle.nn.Linear(in_features=3, out_features=4)\n", mending.rules())
    assert text.startswith("import paddle\nfrom mending_helpers import Linear\n")


@pytest.mark.parametrize("name", CASES)
def test_a_rule_mends_its_case(mending, name):
    before, after = CASES[name]
    assert mending.mend(before, mending.rules()) == (after, {name: 1})


def test_an_unknown_call_stays_marked_and_is_reported(mending, tmp_path):
    (tmp_path / "unseen.py").write_text("import paddle\n>>>>>>x = torch.unknown(torch.optim.SGD(p))\n")
    mending.mend_folder(tmp_path)
    (line,) = mending.open_lines(tmp_path)
    assert line.startswith("unseen.py:") and "torch.unknown" in line


def test_a_mark_that_no_rule_reaches_is_not_lifted(mending):
    """`x.median(1)` has no torch in it, and PaConvert marks it: PyTorch's median is another number than Paddle's."""
    text = ">>>>>>    return x.median(1)[0]\n"
    assert mending.mend(text, mending.rules()) == (text, {})


@pytest.mark.parametrize(
    ("text", "is_script"),
    [
        ("if __name__ == '__main__':\n    print()\n", True),
        ("for epoch in range(2):\n    pass\n", True),
        ("def main():\n    pass\n\nmain()\n", True),
        ('"""A module."""\nimport paddle\npaddle.seed(0)\nclass Net: pass\n', False),
    ],
)
def test_a_script_is_a_file_that_does_something(load, tmp_path, text, is_script):
    (tmp_path / "file.py").write_text(text)
    execution = load("13-conversion/execution.py")
    assert bool(execution.scripts(tmp_path)) == is_script
    assert execution.execute(tmp_path, lambda _: None, set()) == is_script


def test_an_absolute_path_in_lines_of_its_own_goes_too(mending):
    text = 'import sys\n\nsys.path.append(\n    "/a/very/long/path"\n)\nimport paddle\n'
    assert mending.mend(text, mending.rules()) == ("import paddle\n", {"absolute path": 1})


# Planted faults


@pytest.mark.plants("13-1", "open_after")
def test_a_line_that_stays_open_fails(mending, verdict, tmp_path):
    (tmp_path / "model.py").write_text(">>>>>>x = torch.unknown(x)\n")
    mending.mend_folder(tmp_path)
    assert verdict("13-1", "open_after", {"open_after": len(mending.open_lines(tmp_path))}) == "failed"


PROJECT = """
def used():
    return 1

def unused():
    return 2

if __name__ == "__main__":
    used()
"""


@pytest.mark.plants("13-1", "ran", "functions", "functions_executed")
@pytest.mark.parametrize(
    ("text", "failing"),
    [
        (PROJECT.replace("    used()", "    used()\n    unused()"), set()),
        (PROJECT, {"functions_executed"}),
        (PROJECT.replace("return 1", "return absent").replace("    used()", "    unused()\n    used()"), {"ran"}),
        ("for number in range(2):\n    print(number)\n", {"functions", "functions_executed"}),
        ("", {"ran", "functions", "functions_executed"}),
    ],
    ids=["all is run", "a function is not run", "a script fails", "there is no function", "there is nothing to run"],
)
def test_what_is_not_run_fails(load, verdict, tmp_path, text, failing):
    (tmp_path / "main.py").write_text(text)
    found = load("13-conversion/main.py").run(tmp_path, lambda _: None)
    metrics = {"ran": found.ran, "functions": found.functions, "functions_executed": found.share}
    assert {name for name in metrics if verdict("13-1", name, metrics) == "failed"} == failing
