"""Mutants of a zip: changes that some reader sees (unzip, 7-Zip, Python, the Explorer), each by name.

A mutant takes the bytes of a sound zip without zip64 or comment, and a source of chance; it gives other bytes.
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
LOCAL_FIELDS = struct.Struct("<4s5H3I2H")
CENTRAL_FIELDS = struct.Struct("<4s6H3I5H2I")
END_FIELDS = struct.Struct("<4s4H2IH")
Mutant = Callable[["Zip", random.Random], None]


@dataclass
class Entry:
    """A file of a zip: what its local header says, its content, and what the table of contents says."""

    local: list[int]
    name: bytes
    extra: bytes
    content: bytes
    central: list[int]
    central_name: bytes
    central_extra: bytes
    comment: bytes = b""
    before: bytes = b""
    behind: bytes = b""


@dataclass
class Zip:
    """A zip taken apart; `write` puts it together, offsets right unless `moved` says otherwise."""

    entries: list[Entry]
    comment: bytes = b""
    before: bytes = b""
    behind: bytes = b""
    between: bytes = b""
    counted: int = 0
    moved: int = 0
    offsets: dict[int, int] = field(default_factory=dict)

    def write(self) -> bytes:
        body, table = bytearray(self.before), bytearray()
        for number, each in enumerate(self.entries):
            body += each.before
            place = self.offsets.get(number, len(body))
            body += LOCAL_FIELDS.pack(LOCAL, *each.local[:8], len(each.name), len(each.extra))
            body += each.name + each.extra + each.content + each.behind
            head = [*each.central[:9], len(each.central_name), len(each.central_extra), len(each.comment)]
            table += CENTRAL_FIELDS.pack(CENTRAL, *head, *each.central[12:15], place)
            table += each.central_name + each.central_extra + each.comment
        number, place = len(self.entries) + self.counted, len(body) + len(self.between) + self.moved
        end = END_FIELDS.pack(END, 0, 0, number, number, len(table), place, len(self.comment))
        return bytes(body + self.between + table + end + self.comment + self.behind)


def read(content: bytes) -> Zip:
    entries = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        place = archive.start_dir
        for info in archive.infolist():
            _, *local = LOCAL_FIELDS.unpack_from(content, info.header_offset)
            start = info.header_offset + LOCAL_FIELDS.size + local[8] + local[9]
            _, *central = CENTRAL_FIELDS.unpack_from(content, place)
            name = content[place + CENTRAL_FIELDS.size :][: central[9]]
            place += CENTRAL_FIELDS.size + central[9] + central[10] + central[11]
            body = content[start : start + info.compress_size]
            entries.append(Entry(local, name, b"", body, [*central[:9], 0, 0, 0, *central[12:]], name, b""))
    return Zip(entries)


def field_of(block: int, name: bytes) -> bytes:
    return struct.pack("<HH", block, len(name)) + name


# What is changed. Fields of a local header: 0 version, 1 flags, 2 method, 3 time, 4 day, 5 CRC, 6 packed, 7 size; of
# the table of contents the same from 1 on, and 12 disk, 13 internal and 14 external attributes.


def local_field(number: int) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        chance.choice(zip_.entries).local[number] ^= 1 << chance.randrange(16)

    return change


def central_field(number: int) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        chance.choice(zip_.entries).central[number] ^= 1 << chance.randrange(16)

    return change


def other_name(where: str) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        names = [b"evil.html", b"../evil", b"/etc/evil", b"C:\\evil", b"index.html\0.txt", b"INDEX.HTML", b"a\x1b[2Jb"]
        each = chance.choice(zip_.entries)
        other = chance.choice(names)
        each.name = other if where != "central" else each.name
        each.central_name = other if where != "local" else each.central_name

    return change


def junk(where: str) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        setattr(zip_, where, chance.choice([b"\0", b"#!/bin/sh\n", b"MZ" + bytes(62), chance.randbytes(99)]))

    return change


def junk_of_entry(where: str) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        setattr(chance.choice(zip_.entries), where, chance.randbytes(chance.randint(1, 40)))

    return change


def extra(where: str, block: int) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        each = chance.choice(zip_.entries)
        evil = b"evil.html"
        unicode_path = b"\x01" + struct.pack("<I", zlib.crc32(each.name)) + evil
        content = {0x7075: unicode_path, 1: struct.pack("<QQ", each.local[7], each.local[6])}.get(block, b"\x01" + evil)
        setattr(each, where, field_of(block, content))

    return change


def again(name: Callable[[bytes], bytes], content: bytes | None = None) -> Mutant:
    """The file once more, under a name like it, maybe with another content."""

    def change(zip_: Zip, chance: random.Random) -> None:
        each = chance.choice(zip_.entries)
        body = each.content if content is None else content
        sizes = [zlib.crc32(body), len(body), len(body)]
        other = name(each.name)
        central = [*each.central[:6], *sizes, 0, 0, 0, *each.central[12:]]
        twin = Entry([*each.local[:5], *sizes], other, b"", body, central, other, b"")
        zip_.entries.insert(chance.randint(0, len(zip_.entries)), twin)

    return change


def mode(bits: int) -> Mutant:
    def change(zip_: Zip, chance: random.Random) -> None:
        chance.choice(zip_.entries).central[14] = bits << 16

    return change


def hidden(zip_: Zip, chance: random.Random) -> None:
    """A file that only its local header names: readers that stream see it."""
    each = chance.choice(zip_.entries)
    body = b"evil"
    local = [*each.local[:5], zlib.crc32(body), len(body), len(body)]
    each.behind = LOCAL_FIELDS.pack(LOCAL, *local, len(b"evil.html"), 0) + b"evil.html" + body


def deflated(zip_: Zip, chance: random.Random) -> None:
    each = chance.choice(zip_.entries)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    each.content = packer.compress(each.content) + packer.flush()
    for fields, first in ((each.local, 2), (each.central, 3)):
        fields[first], fields[first + 4] = 8, len(each.content)


def descriptor(zip_: Zip, chance: random.Random) -> None:
    """Sizes behind the data, and none in the header."""
    each = chance.choice(zip_.entries)
    each.behind = b"PK\x07\x08" + struct.pack("<III", *each.local[5:8])
    each.local[1] |= 8
    each.central[2] |= 8
    each.local[5:8] = [0, 0, 0]


def swapped(zip_: Zip, chance: random.Random) -> None:
    one, other = chance.sample(range(len(zip_.entries)), 2)
    zip_.entries[one], zip_.entries[other] = zip_.entries[other], zip_.entries[one]


def gone(zip_: Zip, chance: random.Random) -> None:
    zip_.entries.pop(chance.randrange(len(zip_.entries)))


def shared(zip_: Zip, chance: random.Random) -> None:
    """Two names in the table of contents for one content."""
    zip_.offsets[chance.randrange(1, len(zip_.entries))] = 0


def other_content(zip_: Zip, chance: random.Random) -> None:
    each = chance.choice([each for each in zip_.entries if each.content])
    at = chance.randrange(len(each.content))
    each.content = each.content[:at] + bytes([each.content[at] ^ 1 << chance.randrange(8)]) + each.content[at + 1 :]
    if chance.random() < 0.7:  # else only the hash in the header differs
        each.local[5] = each.central[6] = zlib.crc32(each.content)


def two_ends(zip_: Zip, chance: random.Random) -> None:
    """A whole other zip in the comment: some readers take the first end, some the last."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as other:
        other.writestr("index.html", b"evil")
    zip_.comment = target.getvalue()


def count(zip_: Zip, chance: random.Random) -> None:
    zip_.counted = chance.choice([-1, 1])


def zip64(zip_: Zip, chance: random.Random) -> None:
    zip_.between = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 46, 0)
    zip_.between += struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)


MUTANTS: dict[str, Mutant] = {
    **{f"local header, field {number}": local_field(number) for number in range(8)},
    **{f"table of contents, field {number}": central_field(number) for number in (*range(9), 12, 13, 14)},
    **{f"another name in {where}": other_name(where) for where in ("local", "central", "both")},
    **{f"bytes {where} all": junk(where) for where in ("before", "behind", "between")},
    "a comment": junk("comment"),
    **{f"bytes {where} a file": junk_of_entry(where) for where in ("before", "behind")},
    "a file's comment": junk_of_entry("comment"),
    **{
        f"extra field {block:#x} in {where}": extra(where, block)
        for where in ("extra", "central_extra")
        for block in (1, 0x7075, 0x6375, 0x5455, 0x7875, 0x9901, 0xCAFE)
    },
    "twice": again(lambda name: name),
    "twice, another content": again(lambda name: name, b"evil"),
    "in capitals too": again(bytes.upper, b"evil"),
    "with ./ before": again(lambda name: b"./" + name, b"evil"),
    "with // within": again(lambda name: name.replace(b"/", b"//") + b"/x"),
    "with a backslash": again(lambda name: b"a\\" + name.replace(b"/", b"\\")),
    "one more": again(lambda name: b"more.txt"),
    "a folder": again(lambda name: b"results/", b""),
    "below a file": again(lambda name: name + b"/x"),
    "with a blank behind": again(lambda name: name + b" "),
    "a link": mode(0o120777),
    "a device": mode(0o020666),
    "executable": mode(0o100755),
    "a hidden file": hidden,
    "deflated": deflated,
    "sizes behind": descriptor,
    "in another order": swapped,
    "one gone": gone,
    "one content for two": shared,
    "another content": other_content,
    "two ends": two_ends,
    "another count": count,
    "zip64": zip64,
}


def mutants(content: bytes, number: int, seed: int = 0) -> list[tuple[str, bytes]]:
    """So many different mutants, of every kind in turn."""
    found: dict[bytes, str] = {content: ""}
    for turn in range(40 * number):
        name = list(MUTANTS)[turn % len(MUTANTS)]
        zip_ = read(content)
        MUTANTS[name](zip_, random.Random(f"{seed} {turn}"))
        found.setdefault(zip_.write(), name)
        if len(found) > number:
            break
    return [(name, mutant) for mutant, name in found.items() if name]
