"""Task 5's readings: the forms in which people write them, and what cannot be of this bar."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy")
pytest.importorskip("paddle")

CASES = Path(__file__).resolve().parents[2] / "data" / "csv"
HEADER = "time [s],x [mm],temperature [°C]"
LENGTH, DURATION = 0.15, 600.0


@pytest.fixture(scope="module")
def program(load):
    pytest.importorskip("matplotlib")
    return load("05-practical/main.py")


@pytest.fixture(scope="module")
def measurements(program):
    return program.measurements


@pytest.fixture(scope="module")
def parse(measurements):
    return lambda text: measurements.parse(text, LENGTH, DURATION)


@pytest.fixture(scope="module")
def unusable(measurements):
    return measurements.Unusable


@pytest.fixture(scope="module")
def good():
    """The best data: lines of `time, x, temperature` below the names."""
    return (CASES / "good.csv").read_text(encoding="utf-8").splitlines()[1:]


@pytest.fixture
def check(program, tmp_path):
    """What is said of the lines of a file: (readings, what is odd), or the refusal."""

    def read(lines, header=HEADER, **bar):
        path = tmp_path / "data.csv"
        path.write_text("\n".join([header, *lines]), encoding="utf-8")
        return program.readings_of(path, program.Bar(**bar), 8)

    return read


def columns(lines, write):
    """The lines with each (time, x, temperature) written anew."""
    return [write(*map(float, line.split(","))) for line in lines]


# The forms that people write

ONE = "time [s],x [mm],temperature [°C]\n60,50,25"
FORMS = {
    "units of other sizes": "temperature [K];x [cm];time [min];who\n298,15;5;1;me",
    "tabs": "Time (s)\tPosition (m)\tTemperature (°F)\n60\t0.05\t77",
    "comment and quotes": '# a comment\n\n"x [mm]", "temperature [℃]", "t [s]"\n50, 25, 60\n',
    "slashes": "time / s,x / mm,T / °C\n60,50,25",
    "slashes and quotes": '"t/s";"x/mm";"T/°C"\n60;50;25',
    "fullwidth": "时间（秒），位置（毫米），温度（℃）\n60，50，25",
    "Chinese": "时间/s,位置/mm,温度/℃\n60,50,25",
    "Chinese, its own brackets": "时间【s】,距离【cm】,温度【摄氏度】\n60,5,25",
    "degC": "time [s],x [mm],temp [degC]\n60,50,25",
    "deg C": "time [s],x [mm],temp [deg C]\n60,50,25",
    "ordinal for degree": "time [s],x [mm],temperature [ºC]\n60,50,25",
    "ring for degree": "time [s],x [mm],temperature [˚C]\n60,50,25",
    "t is the time and the temperature": "t [s],x [mm],T [K]\n60,50,298.15",
    "underscores": "time_s,x_mm,temp_degC\n60,50,25",
    "words": "Time in seconds;Position in mm;Temperature in Celsius\n60;50;25",
    "a space": "time s;x mm;temperature °C\n60;50;25",
    "Excel's first line": "sep=;\ntime [s];x [mm];temperature [°C]\n60;50;25",
    "a row of units": "time,x,temperature\ns,mm,°C\n60,50,25",
    "a row of units in brackets": "Time\tPosition\tTemperature\n[min]\t[cm]\t[K]\n1\t5\t298,15",
    "decimal commas": "time [s];x [mm];temperature [°C]\n60,0;50,0;25,0",
    "quoted decimal commas": 'time [s],x [mm],temperature [°C]\n"60,0","50,0","25,0"',
    "thousands": "time [ms];x [mm];temperature [°C]\n60.000,0;50;25,0",
    "quoted thousands": 'time [ms],x [mm],temperature [°C]\n"60,000",50,25.0',
    "thousands beside points": "time [ms];x [mm];temperature [°C]\n60,000;50.0;25",
    "three decimals behind a comma": "time [s];x [mm];temperature [°C]\n60;50,000;25,000",
    "units in the cells": "time [s],x [mm],temperature [°C]\n60 s,5 cm,298.15 K",
    "wide gaps": "time [s]   x [mm]   temperature [°C]\n60   50   25",
    "an instrument's lines above": "Logger 3000\nSerial,17\nDate,2024-05-01\n\ntime [s],x [mm],T [°C]\n60,50,25",
    "trailing separators": "time [s],x [mm],temperature [°C],,\n60,50,25,,",
    "old Macs": "time [s],x [mm],temperature [°C]\r60,50,25\r",
    "BOM": "\ufefftime [s],x [mm],temperature [°C]\n60,50,25",
    "a thermometer a column": "time [s],50 mm\n60,25",
    "with its unit": "time [min],T (5 cm) [K]\n1,298.15",
    "with a slash": "t/s;x=50,0 mm / °C\n60;25,0",
    "with a row of units": "时间,50mm\n秒,K\n60,298.15",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_the_forms_that_people_write_are_read(parse, text):
    found = parse(text.replace("\ufeff", ""))
    assert found.times == pytest.approx([60]) and found.positions == pytest.approx([0.05])
    assert found.temperatures == pytest.approx([25]) and not found.problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("text", [ONE.replace("°C", "℃"), FORMS["Chinese"], FORMS["fullwidth"]])
def test_encodings(measurements, tmp_path, encoding, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode(encoding))
    assert measurements.read(path, LENGTH, DURATION).temperatures == pytest.approx([25])


def test_what_older_western_instruments_write(measurements, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(ONE.encode("latin-1"))
    assert measurements.read(path, LENGTH, DURATION).temperatures == pytest.approx([25])


def test_a_thermometer_a_column_in_any_number_and_a_gap_is_left_out_alone(parse):
    found = parse("time [s],3 mm,31.8 mm [K],note,T 60.6mm\n10,30,298.15,hot,nan\n20,31,299.15,,22")
    np.testing.assert_allclose(found.times, [10, 10, 20, 20, 20])
    np.testing.assert_allclose(found.positions, [0.003, 0.0318, 0.003, 0.0318, 0.0606])
    np.testing.assert_allclose(found.temperatures, [30, 25, 31, 26, 22])
    assert found.problems == ((2, "temperature is missing, at 60.6 mm"),)


NUMBER = st.integers(0, 10**6).map(lambda number: number / 10**4)


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=12, unique=True),
    order=st.permutations(["time", "x", "temperature"]),
    form=st.sampled_from(["{} [{}]", "{} ({})", "{} / {}", "{}（{}）", "{}_{}"]),
    separator=st.sampled_from([",", ";", "\t"]),
    units=st.tuples(st.sampled_from(["s", "min"]), st.sampled_from(["mm", "cm"]), st.sampled_from(["°C", "K", "℉"])),
    newline=st.sampled_from(["\n", "\r\n"]),
    comma=st.booleans(),
)
def test_whatever_the_form_the_same_numbers_are_read(
    parse, measurements, rows, order, form, separator, units, newline, comma
):
    scale = {"s": 1, "min": 60, "mm": 1e-3, "cm": 1e-2}
    degrees = {"°C": lambda u: u, "K": lambda u: u + 273.15, "℉": lambda u: 1.8 * u + 32}
    unit = dict(zip(["time", "x", "temperature"], units, strict=True))

    def cell(kind, value):
        given_in = degrees[unit[kind]](value) if kind == "temperature" else value
        text = f"{given_in:.9g}"
        return text.replace(".", ",") if comma and separator != "," else text

    lines = [separator.join(form.format(kind, unit[kind]) for kind in order)]
    lines += [separator.join(cell(kind, dict(zip(unit, row, strict=True))[kind]) for kind in order) for row in rows]
    wide = 100 * 60, 100.0  # so that every number is inside
    found = measurements.parse(newline.join(lines), wide[1], wide[0])
    expected = np.array(rows) * [scale[units[0]], scale[units[1]], 1]
    got = np.stack([found.times, found.positions, found.temperatures], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-5)


def test_what_is_written_is_read_back(measurements, tmp_path):
    path = tmp_path / "measured.csv"
    axes = np.array([10.0, 599.123456]), np.array([0.003, 0.1478]), np.array([20.0, 71.234])
    measurements.write(path, measurements.Measurements(*axes, np.arange(2)), ["a comment"])
    found = measurements.read(path, LENGTH, DURATION)
    for name, axis in zip(("times", "positions", "temperatures"), axes, strict=True):
        np.testing.assert_allclose(getattr(found, name), axis, rtol=1e-12)


# Rows that cannot be used are reported; files that cannot be used are refused


def test_bad_rows_are_reported_by_line_and_left_out(parse):
    rows = ["1,2,25", "1,2,", "1,2", "abc,2,25", "700,2,25", "-1,2,25", "1,151,25", "1,2,-300", "1,2,inf", "# note"]
    good = [f"{time},3,26" for time in range(2, 12)]
    found = parse("\n".join([HEADER, *rows, *good]))
    assert len(found) == 11 and found.bad == 8
    assert [number for number, _ in found.problems] == [3, 4, 5, 6, 7, 8, 9, 10]
    words = ["missing", "missing", "not a number", "experiment", "experiment", "outside the bar", "not one", "finite"]
    assert all(word in problem for word, (_, problem) in zip(words, found.problems, strict=True))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("1,2,3\n4,5,6", "no column"),
        ("time [s],T1 [°C],T2 [°C],T3 [°C]\n1,2,3,4", "write where each thermometer is"),
        ("time [s],x [mm]\n1,2", "no column temperature"),
        ("time [s],x [mm],temperature\n1,2,3", "no unit"),
        ("time [s],x [furlong],temperature [K]\n1,2,3", "furlong"),
        ("time [s],x [mm],x [m],temperature [K]\n1,2,2,3", "two columns"),
        (HEADER, "no line after the header"),
        (HEADER + "\n1,2,nan", "line 2"),
        (HEADER + "\n2024-05-01 12:00:10,2,25", "time stamp"),
        (HEADER + "\n12:00:10,2,25", "time stamp"),
        ("时刻,x [mm],温度/℃\n14:03:10,2,25", "when the left heater went on"),
        ("日期时间,3mm/℃,32mm/℃\n2025年10月18日 14时03分10秒,25,25", "when the left heater went on"),
        ("x" * 200_000, "field larger"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_what_why_and_what_to_do(parse, unusable, text, why):
    with pytest.raises(unusable) as refusal:
        parse(text)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 3 and why in str(refusal.value) and "what to do" in lines[2]


@pytest.mark.parametrize("begin", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_workbook_called_csv_is_told_by_its_content(measurements, unusable, tmp_path, begin):
    path = tmp_path / "实验.csv"
    path.write_bytes(begin + bytes(600))
    with pytest.raises(unusable, match="workbook"):
        measurements.read(path, LENGTH, DURATION)


def test_thousands_are_no_decimals_because_other_rows_are_below_a_thousand(parse):
    found = parse('time [ms],x [mm],temperature [°C]\n990,50,25\n"1,000",50,25.5\n"1,010",50,26\n')
    assert found.times == pytest.approx([0.99, 1.0, 1.01])


def test_a_device_without_an_end_is_no_file(measurements, unusable):
    with pytest.raises(unusable, match="too large"):
        measurements.read(Path("/dev/zero"), LENGTH, DURATION)


def test_a_row_in_the_file_twice_counts_once_and_two_readings_that_differ_both(parse):
    found = parse(HEADER + "\n1,2,25\n1,2,25\n1,2,25.1\n2,2,25")
    assert len(found) == 3 and found.repeated == 1 and found.bad == 0
    assert found.problems == ((3, "the same as line 2: time, place and temperature"),)


@settings(deadline=None, max_examples=200)
@given(text=st.text() | st.lists(st.text(max_size=20)).map(lambda rows: "\n".join([HEADER, *rows])))
def test_whatever_the_text_there_is_a_result_or_a_refusal(parse, unusable, text):
    try:
        found = parse(text)
    except unusable as refusal:
        assert len(str(refusal).split("\n  ")) >= 3
        return
    assert len(found) > 0 and np.isfinite(found.temperatures).all()


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(0, 600), st.floats(0, 150), st.floats(-270, 4000), st.integers(0, 9)),
        min_size=1,
        max_size=30,
        unique_by=lambda row: row[:3],
    )
)
def test_every_row_is_either_used_or_reported(parse, unusable, rows):
    lines = [f"{t!r},{x!r},{u!r}" if good else f"{t!r},oops,{u!r}" for t, x, u, good in rows]
    good = [row for row in rows if row[3]]
    if 2 * len(good) <= len(rows):
        with pytest.raises(unusable):
            parse("\n".join([HEADER, *lines]))
        return
    found = parse("\n".join([HEADER, *lines]))
    np.testing.assert_allclose(found.temperatures, [row[2] for row in good])
    assert [number for number, _ in found.problems] == [n for n, row in enumerate(rows, 2) if not row[3]]


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=300))
def test_whatever_the_bytes_there_is_no_traceback(measurements, tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "wild.csv"
    path.write_bytes(content)
    with pytest.raises(measurements.Unusable):
        measurements.read(path, LENGTH, DURATION)


# What cannot be of this bar


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("ambient", ["nothing to learn", "not heated"]),
        ("extra_cells", ["line 2", "6 cells under 3 names", "decimal", "semicolons"]),
        ("min_as_s", ["more heat than the bar was given", "in min?", "[min]"]),
    ],
)
def test_cases_from_which_nothing_can_be_learnt_are_refused(program, unusable, case, words):
    with pytest.raises(unusable) as refusal:
        program.readings_of(CASES / f"{case}.csv", program.Bar(), 8)
    assert all(word in str(refusal.value) for word in words), refusal.value


def spare(temperature, note, rows=40):
    """A comma file with columns that nobody asks for."""
    lines = [f"{10 * n},{(30, 60, 90)[n % 3]},{temperature(n)},{note(n)}," for n in range(rows)]
    return "time [s],x [mm],temperature [°C],note,ok\n" + "\n".join(lines) + "\n"


def test_decimal_commas_that_spare_columns_take_up_are_refused(program, unusable):
    text = spare(lambda n: 20 + n // 4, lambda n: f"{37 * n % 100:02}")
    with pytest.raises(unusable, match="line 2: whole numbers, and digits beside them"):
        program.measurements.parse(text, 0.15, 600.0)


@pytest.mark.parametrize("note", [lambda n: n % 3, lambda n: n, lambda n: "ok"], ids=["channel", "row", "words"])
def test_spare_columns_of_other_kinds_are_passed_over(program, note):
    text = spare(lambda n: 20 + n // 4, note)
    assert len(program.measurements.parse(text, 0.15, 600.0).temperatures) == 40


WRONG = {
    "kelvin called °C": (HEADER, lambda t, x, u: f"{t},{x},{u + 273.15}", "if the numbers were K, not °C"),
    "°C called kelvin": (HEADER.replace("°C", "K"), lambda t, x, u: f"{t},{x},{u}", "numbers were °C, not K"),
    "fahrenheit called °C": (HEADER, lambda t, x, u: f"{t},{x},{1.8 * u + 32}", "if the numbers were °F, not °C"),
    "mm called m": (HEADER.replace("mm", "m"), lambda t, x, u: f"{t},{x},{u}", "unit of x"),
    "mm called cm": (HEADER.replace("mm", "cm"), lambda t, x, u: f"{t},{x},{u}", "unit of x"),
    "m called mm": (HEADER, lambda t, x, u: f"{t},{x / 1000},{u}", "is x in m rather than in mm?"),
    "hours called s": (HEADER, lambda t, x, u: f"{t / 3600},{x},{u}", "in h?"),
    "ms called s": (HEADER, lambda t, x, u: f"{t * 1000},{x},{u}", "unit of time"),
    "time and x swapped": (HEADER, lambda t, x, u: f"{x},{t},{u}", "swapped"),
    "x and temperature swapped": (HEADER, lambda t, x, u: f"{t},{u},{x}", "swapped"),
    "time and temperature swapped": (HEADER, lambda t, x, u: f"{u},{x},{t}", "swapped"),
    "one thermometer": (HEADER, lambda t, x, u: f"{t},3,{u}", "1 thermometer within"),
    "noise about the air's": (HEADER, lambda t, x, u: f"{t},{x},{20 + 0.1 * np.sin(99 * u):.3f}", "nothing"),
    "time stamps": (HEADER, lambda t, x, u: f"2024-05-01 12:{int(t) // 60:02}:{int(t) % 60:02},{x},{u}", "time stamp"),
}


@pytest.mark.parametrize(("header", "write", "word"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_not_what_it_says_is_refused_by_name(check, unusable, good, header, write, word):
    with pytest.raises(unusable) as refusal:
        check(columns(good, write), header)
    assert word in str(refusal.value), refusal.value


def test_lengths_near_one_end_are_suspected_aloud(check, good):
    _, odd = check(columns(good, lambda t, x, u: f"{t},{x / 10},{u}"))
    assert "is x in cm rather than in mm?" in odd[0]


def test_good_readings_are_not_suspected(check, good):
    measured, odd = check(good)
    assert len(measured) == 360 and not odd and not measured.problems


def test_a_stuck_thermometer_and_one_at_the_end_of_its_range_are_left_out_aloud(check, good):
    stuck = columns(good, lambda t, x, u: f"{t},{x},{34.5 if x == 60.6 else u}")
    measured, _ = check(stuck)
    assert len(measured) == 300 and "60.6 mm is stuck at 34.5 °C" in measured.problems[0][1]
    measured, _ = check(columns(good, lambda t, x, u: f"{t},{x},{34.5 if x == 60.6 and t > 400 else u}"))
    assert len(measured) == 340
    measured, _ = check(columns(good, lambda t, x, u: f"{t},{x},{min(u, 60)}"))
    assert measured.temperatures.max() < 60
    assert all("at the end of its range, 60 °C" in problem for _, problem in measured.problems)


def test_a_bar_that_is_not_warm_yet_is_no_stuck_thermometer(check, good):
    measured, _ = check(columns(good, lambda t, x, u: f"{t},{x},{20 if x == 147 and t < 150 else u}"))
    assert len(measured) == 360


def test_the_order_of_the_rows_does_not_matter(check, good):
    shuffled = list(np.random.default_rng(0).permutation(good))
    measured, odd = check(shuffled)
    assert len(measured) == 360 and not odd


def test_readings_in_bursts_count_as_one(program):
    text = gzip.decompress((CASES / "ten_thousand.csv.gz").read_bytes()).decode()
    bursts = program.measurements.parse(text, LENGTH, DURATION)
    combined = bursts.combined(DURATION * program.BURST)
    assert len(bursts) == 9918 and len(combined) == 6 * 60
    assert len(combined.combined(DURATION * program.BURST)) == len(combined)
