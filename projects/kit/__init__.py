"""The contract of every program in `projects/`: what it is told, and what it leaves behind.

A program is started as

    ./inv python projects/04-plate/main.py --part 4 --device cpu --cards 1 --seed 0 --out DIR [--set grid=51 ...]

(or by any Python that has its packages) and leaves in DIR what a stranger needs to check it: `metrics.json` (what it
measured), `trace.npz` (arrays that a run on other hardware is compared with), `device.json` (the device that really
computed, and the libraries that multiplied) and its artefacts. It measures and does not judge: bounds stand in
`project.yaml`, next to `main.py`. In full:

    import kit

    program = kit.start(__file__, __doc__)
    deflection = solve(program.parameters["grid"])      # a paddle tensor
    program.used(deflection)
    program.metric("max_deflection", deflection.max())
    program.trace(deflection=deflection)
    program.finish()

What it cannot use it refuses with `kit.refuse(what, why, remedy)`; `kit.main(main, NoModel)` does so for an error.
"""

from .ending import main, refuse
from .precision import choose_dtype
from .program import Program, start

__all__ = ["Program", "choose_dtype", "main", "refuse", "start"]
