"""Can these readings be of this bar? What is asked before anything is solved, and costs nothing.

Most worthless answers come from a file that is not what it says: a unit, two columns swapped, a power or a capacity
of another bar. The physics tells: the bar begins as warm as the air, it holds no more heat than it was given, and
where nothing warms up nothing can be learnt. What cannot be is refused with what, why and what to do; a thermometer
that is stuck or at the end of its range is left out; what is odd but possible is said aloud.
"""

import numpy as np
from bar import Bar
from measurements import Measurements, Unusable
from table import UNITS

AS_WARM_AS_THE_AIR = 3.0  # K
MOST_HEAT = 3.0  # times what the heaters gave: thermometers far apart weigh the heat between them roughly
RUN = 8  # successive readings at exactly one value, and more than at any other, are the end of a range


def check(measured: Measurements, bar: Bar, name: str) -> tuple[Measurements, list[str]]:
    """The readings that may be of this `bar`, and what is odd about them. Raises Unusable if none can be."""
    refuse_other_units(measured, bar, name)
    refuse_swapped(measured, name)
    refuse_unheated(measured, bar, name)
    measured = without_stuck(measured, bar)
    odd = refuse_one_place(measured, bar, name)
    odd += refuse_more_heat_than_given(measured, bar, name)
    return measured, odd


def scatter(measured: Measurements) -> float:
    """The noise of the thermometers as their successive readings show it, in K, robustly; 0 for too few of them."""
    second = [np.diff(temperatures, 2) for _, temperatures in thermometers(measured)]
    return float(1.4826 * np.median(np.abs(np.concatenate(second))) / np.sqrt(6)) if any(map(len, second)) else 0.0


def thermometers(measured: Measurements) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each thermometer its times and temperatures (readings,), in the order of time."""
    order = np.lexsort([measured.times, measured.positions])
    cuts = np.flatnonzero(np.diff(measured.positions[order])) + 1
    return [(measured.times[rows], measured.temperatures[rows]) for rows in np.split(order, cuts)]


def refuse_other_units(measured: Measurements, bar: Bar, name: str) -> None:
    """The bar begins as warm as the air: a coldest reading that is so in another unit tells of a wrong one."""
    coldest = float(np.quantile(measured.temperatures, 0.01))
    typical = float(np.median(measured.temperatures))
    from_the_beginning = measured.times.min() < 0.1 * bar.duration  # later on all of it may be warm
    if abs(coldest - bar.ambient) > 2 * AS_WARM_AS_THE_AIR and from_the_beginning:
        for unit, (factor, offset) in UNITS["temperature"].items():
            for taken, (its_factor, its_offset) in UNITS["temperature"].items():
                meant = (coldest - its_offset) / its_factor * factor + offset
                if unit != taken and abs(meant - bar.ambient) < AS_WARM_AS_THE_AIR:
                    raise Unusable(
                        f"{name} holds temperatures from {coldest:.4g} °C, and the air has {bar.ambient:g} °C",
                        f"the bar begins as warm as the air, and so it would if the numbers were {unit}, not {taken}"
                        + (": that bar is not heated" if typical < bar.ambient else ""),
                        f"write the unit in the first line as [{unit}], or set ambient to the air's temperature in °C",
                    )
    if typical < bar.ambient - AS_WARM_AS_THE_AIR:
        raise Unusable(
            f"{name} holds temperatures of a bar that is not heated",
            f"half of them are below {typical:.4g} °C, and the air has {bar.ambient:g} °C",
            "see whether the unit in the first line is right, and set ambient to the air's temperature in °C",
        )


def refuse_swapped(measured: Measurements, name: str) -> None:
    """Places are few, and a temperature is hardly ever read twice at all of them."""
    places, values = (len(np.unique(axis)) for axis in (measured.positions, measured.temperatures))
    every = thermometers(measured)
    same = len(every) > 1 and all(np.array_equal(np.sort(one), np.sort(every[0][1])) for _, one in every)
    if len(measured) > 20 and places > len(measured) / 3 and places > 2 * values:
        swapped = f"x has {places} values and the temperature {values}: a thermometer stays where it is"
    elif same and values > 4:
        swapped = f"all {len(every)} thermometers read exactly the same {values} temperatures"
    else:
        return
    raise Unusable(f"{name}: columns are swapped", swapped, "see whether each column has its own name")


def refuse_unheated(measured: Measurements, bar: Bar, name: str) -> None:
    """Where nothing warms up nothing can be learnt."""
    low, high = np.quantile(measured.temperatures, [0.05, 0.95])
    noise = scatter(measured)
    if high - low <= max(5 * noise, 1e-6):
        raise Unusable(
            f"{name}: there is nothing to learn from these readings",
            f"they lie between {low:.4g} and {high:.4g} °C, and scatter by {noise:.2g} K from one to the next: "
            "the bar was not heated, or that is not seen",
            "switch the heaters on, and read often while the bar warms up",
        )


def without_stuck(measured: Measurements, bar: Bar) -> Measurements:
    """Leave out thermometers that are stuck, always or for long, and all readings at the end of their range.

    A bar that is not warm yet is no stuck thermometer: a value of about the air's is let pass.
    """
    ends = set()
    for place in np.unique(measured.positions):
        own = measured.positions == place
        values = measured.temperatures[own][np.argsort(measured.times[own])]
        value, run, others = longest_run(values)
        if run < max(RUN, 3 * others) or (others and abs(value - bar.ambient) < 1):
            continue
        if value in (values.min(), values.max()) and others:
            ends.add(value)
        else:
            stuck = own & (measured.temperatures == value)
            measured = measured.without(stuck, f"the thermometer at {place * 1e3:g} mm is stuck at {value:g} °C")
    for end in sorted(ends):
        at_end = measured.temperatures == end
        measured = measured.without(at_end, f"a thermometer is at the end of its range, {end:g} °C")
    return measured


def longest_run(values: np.ndarray) -> tuple[float, int, int]:
    """Which of the `values` (readings,) most successive ones are, how many, and the longest run of any other value."""
    begins = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    lengths = np.diff(np.append(begins, len(values)))
    value = values[begins[lengths.argmax()]]
    return float(value), int(lengths.max()), int(lengths[values[begins] != value].max(initial=0))


def refuse_one_place(measured: Measurements, bar: Bar, name: str) -> list[str]:
    """One place tells nothing of what lies along the bar; places all near one end are odd."""
    places = np.unique(measured.positions)
    span = float(np.ptp(places)) / bar.length if len(places) else 0.0
    where = f"{len(places)} thermometer{'s' * (len(places) != 1)} within {100 * span:.2g} % of the bar"
    fits = [unit for unit, factor in (("cm", 10), ("m", 1000)) if 0.5 < span * factor <= 1]
    guess = f"is x in {fits[0]} rather than in mm?" if fits else "is the unit of x right, and length?"
    if len(places) < 2 or span < 0.02:
        raise Unusable(
            f"{name} holds readings of {where}",
            f"a conductivity along the bar cannot be told from one place; {guess}",
            "give the position of each thermometer, from the left heater's end",
        )
    return [f"There are {where}: {guess} What lies beyond them is not seen."] if span < 0.3 else []


def refuse_more_heat_than_given(measured: Measurements, bar: Bar, name: str) -> list[str]:
    """The bar holds no more heat than the heaters gave it until then; odd is one that has lost nearly all."""
    every = thermometers(measured)
    moment = min(times[-1] for times, _ in every)
    places = np.unique(measured.positions)
    warmth = np.array([np.interp(moment, times, values) for times, values in every]) - bar.ambient
    along = np.linspace(0, bar.length, 200)
    held = bar.heat_capacity * bar.section * bar.length * float(np.mean(np.interp(along, places, warmth)))
    given = bar.energy(moment)
    balance = f"at {moment:.4g} s the bar holds about {held:.3g} J, and the heaters gave {given:.3g} J"
    if held > MOST_HEAT * given:
        units = [
            unit
            for unit, (factor, _) in UNITS["time"].items()
            if factor > 1 and moment * factor <= 1.01 * bar.duration and held <= 1.5 * bar.energy(moment * factor)
        ]
        guess = f"times up to {moment:.4g} s: are they in {units[0]}? Else " if units else ""
        raise Unusable(
            f"{name} holds more heat than the bar was given",
            f"{balance}; {guess}power, diameter, length, heat capacity or a unit is wrong",
            f"write the unit of time in the first line as [{units[0]}]" if units else "set them as they were",
        )
    odd = []
    if held < 0.02 * given:
        odd.append(f"Nearly all heat is lost: {balance}. Are power, geometry and the air's temperature right?")
    if moment < 0.2 * bar.duration:
        odd.append(f"The readings end at {moment:.4g} s of {bar.duration:g} s: is the unit of time right?")
    return odd
