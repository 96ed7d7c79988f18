"""What the programs of 3-D parallel training share: who holds what, who sends what to whom, and in which order.

Like `kit` it is a library beside the projects and none of them.

    mesh.py        ranks by stage of the pipeline (pp), share of the batch (dp) and slice of the weights (mp)
    schedule.py    the order of micro-batches, F-then-B and 1F1B, with what each stage sends and receives
    boundary.py    between two stages: native `reshard` across meshes, or send and receive
    stage.py       a step of one stage, by the automatic parallel API
    explicit.py    the same with its collectives written out, for devices on which the API has none
    ranks.py       groups of ranks, and what each has to say

A program gives `Stage` or `ExplicitStage` a network, `forward` and `loss`.
"""
