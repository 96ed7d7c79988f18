"""Reading a lister: devices with their health and the programs on them; errors and dashes are no values."""

import pytest

from harness.machine import devices
from harness.machine.devices import Card

TABLE = {
    "command": ["smi"],
    "card": r"^(?P<index>\d+), (?P<model>[^,]+), (?P<health>[^,]+), (?P<used>\d+)/(?P<memory>[^,\n]+)$",
    "healthy": "OK|Fine",
}
DATA = {"title": "Cards", "vendor": "Abacus", "lister": TABLE}


def read(text, **more):
    return devices.read({**DATA, "lister": {**TABLE, **more}}, text)


def test_a_sick_card_is_told_from_a_good_one_and_left_out_of_those_that_can_be_used():
    cards = read("0, A, OK, 1/80\n1, A, Alarm, 1/80\n2, A, Fine, 1/80\n")
    assert [card.fault for card in cards] == ["", "health Alarm", ""]
    assert [card.index for card in devices.read_cards(DATA, "0, A, OK, 1/80\n1, A, Alarm, 1/80\n")] == ["0"]


@pytest.mark.parametrize(("value", "fault"), [("[GPU is lost]", "GPU is lost"), ("ERR!", "ERR!"), ("[N/A]", "")])
def test_words_in_a_values_place_say_that_the_card_does_not_answer_unless_they_mean_none(value, fault):
    (card,) = read(f"0, A, OK, 1/{value}\n")
    assert (card.fault, card.memory) == (fault, None)


@pytest.mark.parametrize("value", ["N/A", "[N/A]", "NA", "-", "--", "[Not Supported]", "xxxxx", "unknown"])
def test_what_says_that_there_is_no_value_is_none(value):
    (card,) = read(f"0, A, OK, 1/{value}\n")
    assert card.memory is None and not card.fault


def test_a_card_with_little_memory_left_is_busy():
    assert [card.busy for card in read("0, A, OK, 59/80\n1, A, OK, 61/80\n")] == ["", "76 % of its memory is in use"]


def test_a_card_with_a_program_on_it_is_busy_by_its_number_or_by_board_and_chip():
    process = r"^program (?P<pid>\d+) on (?P<index>\d+): (?P<name>.+)$"
    cards = read("0, A, OK, 1/80\n1, A, OK, 1/80\nprogram 77 on 1: python3 \n", process=process)
    assert [card.busy for card in cards] == ["", "process 77, python3"]
    chips = {
        "card": r"^(?P<board>\d)\.(?P<chip>\d) (?P<index>\d) (?P<model>\w+)$",
        "process": r"^(?P<board>\d)\.(?P<chip>\d) pid (?P<pid>\d+)$",
    }
    cards = read("4.0 8 A\n4.1 9 A\n4.1 pid 12\n", **chips)
    assert [(card.index, card.busy) for card in cards] == [("8", ""), ("9", "process 12")]


def test_a_lost_card_is_told_beside_the_good_ones():
    cards = read("0, A, OK, 1/80\nno answer from 3b:00: gone\n", lost=r"^no answer from (?P<index>\S+): (?P<why>.+)$")
    assert [(card.index, card.fault) for card in cards] == [("0", ""), ("3b:00", "gone")]


ROW = r"^(?P<index>\d+), (?P<model>[^,\n]+),"


def test_a_card_whose_line_is_not_understood_is_left_out_by_name_and_not_passed_over():
    cards = read("0, A, OK, 1/80\n1, B, OK, ERR\n2, A, OK, 2/80\n", row=ROW)
    assert [(card.index, card.model, card.fault) for card in cards if card.fault] == [
        ("1", "B", "its lines are not understood: 1, B, OK, ERR")
    ]
    assert [card.index for card in devices.read_cards(DATA, "0, A, OK, 1/80\n1, B, OK, ERR\n")] == ["0"]


def test_where_no_line_is_understood_each_card_is_said():
    assert [card.index for card in read("0, A, x\n1, A, y\n", row=[ROW, r"^never (?P<index>\d)"])] == ["0", "1"]


def test_a_card_whose_name_is_no_value_is_not_named():
    (card,) = read("0, N/A, OK, 1/80\n")
    assert (card.model, card.named) == ("unnamed Abacus", False)


def test_the_first_form_that_names_a_card_counts_and_lines_may_end_as_on_windows():
    forms = [r"^(?P<index>\d+)$", r"^(?P<index>\d+) (?P<model>\w+)$"]
    assert read("0\r\n1 B\r\n", card=forms) == (Card(index="1", model="B"),)


def test_cards_without_a_name_are_cards_called_so():
    (card,) = read("7\n", card=r"^(?P<index>\d+)$")
    assert (card.index, card.model, card.named) == ("7", "unnamed Abacus", False)


def test_a_name_is_made_of_parts_and_known_by_them():
    made = {"card": r"^(?P<part1>\w+) (?P<part2>\w+)$", "names": {"0x48 0xd01": "TaiShan"}}
    assert [(card.model, card.named) for card in read("0x48 0xd01\n", **made)] == [("TaiShan", True)]
    assert [(card.model, card.named) for card in read("0x49 0xd01\n", **made)] == [("unnamed 0x49 0xd01", False)]


def test_a_record_says_of_a_card_what_older_ones_say():
    card = Card(index="0", model="A", driver="1.0", busy="process 1")
    assert card.as_dict() == {"index": "0", "model": "A", "driver": "1.0", "architecture": None, "memory": None}


@pytest.mark.parametrize(
    "told",
    [
        "\x1b[1m0, A, \x1b[32mOK\x1b[0m, 1/80\x1b[0m\n",
        "\ufeff0, A, OK, 1/80\n",
        "0, A, OK, 1/80   \r\n",
        "a warning before it\r0, A, OK, 1/80",
        "0,\u00a0A, OK, 1/80\n",
    ],
)
def test_colours_marks_and_odd_blanks_hide_no_card(told):
    assert [(card.index, card.model) for card in read(told)] == [("0", "A")]


def test_a_table_may_be_indented_and_drawn_with_other_lines():
    framed = {"card": r"^\| (?P<index>\d+) \| (?P<model>\w+) \|$"}
    assert [card.model for card in read("  │ 0 │ A │  \n  ┃ 1 ┃ B ┃\n", **framed)] == ["A", "B"]


def test_of_lines_with_one_number_none_is_taken_for_a_device():
    cards = read("0, A, OK, 1/80\n1, A, OK, 1/40\n1, A, OK, 1/40\n")
    assert [(card.index, bool(card.fault)) for card in cards] == [("0", False), ("1", True), ("1", True)]
    assert "2 lines have its number" in cards[1].fault


PLACED = {
    "card": r"^\| (?P<index>\d+) (?P<model>A\w*) \| [0-9a-f:.]+ \|\n\| +(?P<memory>\d+)MiB \|$",
    "row": r"^\| (?P<index>\d+) (?P<model>A\w*) \|",
}


def test_a_numbered_line_that_names_a_place_on_the_bus_is_a_card_whatever_else_it_says():
    told = "| 0 A1 | 0000:01:00.0 |\n|  80MiB |\n| 1 A1 | 0000:02:00.0 |\n|  N/A |\n"
    told += "| 2 Unknown Error | 0000:03:00.0 |\n|  ERR |\n"
    cards = read(told, **PLACED)
    assert [(card.index, card.model, bool(card.fault)) for card in cards] == [
        ("0", "A1", False),
        ("1", "A1", True),
        ("2", "unnamed Abacus", True),
    ]


def test_a_card_is_counted_once_where_its_second_line_names_the_place():
    below = {"card": r"^\| (?P<index>\d+) (?P<model>A\w*) \| OK \|\n\| 0 \| \S+ \| \d+ \|$", "row": PLACED["row"]}
    told = "| 0 A1 | OK |\n| 0 | 0000:01:00.0 | 80 |\n| 1 A1 | OK |\n| 0 | 0000:02:00.0 | NA |\n"
    assert [(card.index, bool(card.fault)) for card in read(told, **below)] == [("0", False), ("1", True)]


@pytest.mark.parametrize(
    "line", ["2025-06-06 06:40:08.0 late", "06:40:08.0 late", "10/06 06:40:08.0", "3.1 of 40:08.0"]
)
def test_a_time_is_no_place_on_the_bus(line):
    assert len(read(f"{line}\n| 0 A1 | 0000:01:00.0 |\n|  80MiB |\n", **PLACED)) == 1


def test_another_tools_numbered_lines_are_no_cards():
    assert read("| 0 B1 | 0000:01:00.0 |\n|  80MiB |\n", **PLACED) == ()
