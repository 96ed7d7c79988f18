"""Titles: what a check is called on pages, in place of the identifier that the record has."""

from harness.catalogue.entries import Part

OF_EVERY_RUN = {
    "program": "the program finished · 程序正常结束",
    "device": "it computed where it says · 计算确在所述设备上",
    "metrics.json": "the measurements were written · 已写出测量值",
}


def of_check(part: Part, name: str) -> str:
    """The title of a check of a part's run: its metric's words, or the identifier as words."""
    metric = part.metrics.get(name)
    return OF_EVERY_RUN.get(name) or (metric.help if metric else "") or name.replace("_", " ")


def unit_of(part: Part, name: str) -> str:
    """The unit of what a check found; empty for a plain number."""
    metric = part.metrics.get(name)
    return metric.unit if metric and metric.unit != "1" else ""
