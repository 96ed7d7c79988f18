"""Fusion: which operators of a PIR program become one kernel, in groups as large as can be run in one go."""

from collections.abc import Sequence
from typing import Any

from layout import name_of, type_of
from tracing import CONSTANTS
from values import TRUTHS

ENDS = ("builtin.combine", "builtin.split", "builtin.shadow_output", "builtin.parameter", "pd_op.data")


def units(operations: Sequence[Any]) -> list[list[Any]]:
    """Each operator that may become part of a kernel, with the builtin ones that pack and unpack its lists.

    A truth value with one user goes with it: no tensor of truth values leaves a kernel.
    """
    found = []
    for operation in operations:
        if masks(operation):
            continue
        if operation.name() in ENDS:
            continue
        if name_of(operation) in CONSTANTS:
            continue
        packing = [source for source in sources_of(operation) if source.name() == "builtin.combine"]
        packing += masks_of(operation)
        users = [user for result in operation.results() for user in result.all_used_ops()]
        found.append([*packing, operation, *(user for user in users if user.name() == "builtin.split")])
    return found


def sources_of(operation: Any) -> list[Any]:
    """The operators, each once, whose results it takes."""
    found = [operand.source().get_defining_op() for operand in operation.operands() if operand.source().initialized()]
    return list({source.id(): source for source in found if source is not None}.values())


def masks(operation: Any) -> bool:
    """Whether it computes truth values, or those of labels as rows of 0 and 1, that only one operator takes."""
    if labels_as_rows(operation):
        users = operation.result(0).all_used_ops()
        return len(users) == 1 and users[0].name() not in ENDS
    if not (name_of(operation) in TRUTHS or (name_of(operation) == "cast" and type_of(operation.result(0)) == "BOOL")):
        return False
    users = operation.result(0).all_used_ops()
    return len(users) == 1 and (name_of(users[0]) in ("where", "cast") or masks(users[0]))


def labels_as_rows(operation: Any) -> bool:
    """Whether it makes rows of labels, whose length another tensor tells: one_hot, and label_smooth and cast of it."""
    name = name_of(operation)
    return name == "one_hot" or (name in ("label_smooth", "cast") and any(map(labels_as_rows, sources_of(operation))))


def masks_of(operation: Any) -> list[Any]:
    """Those that go with `operation`, in order."""
    found = []
    for source in sources_of(operation):
        if masks(source):
            found += [*masks_of(source), source]
    return found


def connected(program: Any, candidates: Sequence[Any]) -> list[list[Any]]:
    """Candidates that hand tensors to each other, as large groups as can be run in one go.

    Two groups are joined unless something between them stays outside: then one would have to wait for itself.
    """
    order = {operation.id(): place for place, operation in enumerate(program.global_block().ops)}
    reaches: dict[int, set[int]] = {}  # for each operation, all that it depends on
    group_of: dict[int, set[int]] = {}
    chosen = {operation.id(): operation for operation in candidates}
    for operation in program.global_block().ops:
        sources = [
            operand.source().get_defining_op() for operand in operation.operands() if operand.source().initialized()
        ]
        direct = {source.id() for source in sources if source is not None}
        reaches[operation.id()] = direct.union(*(reaches[number] for number in direct))
        if operation.id() not in chosen:
            continue
        group = {operation.id()}
        for source in sorted(direct & set(chosen), key=order.__getitem__, reverse=True):
            other = group_of[source]
            joined = group | other
            between = {number for member in joined for number in reaches[member] if number not in joined}
            if not any(reaches[number] & joined for number in between):
                group = joined
        for member in group:
            group_of[member] = group
    unique = {id(group): group for group in group_of.values()}
    return [[chosen[number] for number in sorted(group, key=order.__getitem__)] for group in unique.values()]
