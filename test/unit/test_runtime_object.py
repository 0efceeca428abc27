"""The object loader, on hand-made ELF objects: relocations, protection, errors, and damaged input."""

from __future__ import annotations

import ctypes
import pathlib
import random
import struct
import subprocess
import sys

import pith
import pytest
from pith.runtime import Library

R_64, R_PC32, R_PLT32, R_GOTPCREL, R_32, R_TPOFF64 = 1, 2, 4, 9, 10, 18
ALLOC, WRITE, EXEC = 2, 1, 4
PROGBITS, NOBITS, INIT_ARRAY = 1, 8, 14
GLOBAL, WEAK, LOCAL = 0x10, 0x20, 0
COMMON, LARGE_COMMON = 0xFFF2, 0xFF02


def elf(sections, symbols=(), relocations=(), machine=62, kind=1, elf_class=2) -> bytes:
    """An object. sections: (type, flags, bytes or size); symbols: (name, info, section, value, size);
    relocations: (section, offset, type, symbol, addend). Section and symbol 0 are the null ones."""
    names = b"\0"
    table = [bytes(24)]
    for name, info, section, value, size in symbols:
        table.append(struct.pack("<IBBHQQ", len(names), info, 0, section, value, size))
        names += name.encode() + b"\0"
    bodies = [(t, f, 0, 0, 64, 0, body) for t, f, body in sections]
    symtab = len(sections) + 1 + len({r[0] for r in relocations})
    for target in sorted({r[0] for r in relocations}):
        rows = b"".join(struct.pack("<QQq", o, s << 32 | t, a) for at, o, t, s, a in relocations if at == target)
        bodies.append((4, 0, symtab, target, 8, 24, rows))
    bodies.append((2, 0, symtab + 1, 1, 8, 24, b"".join(table)))
    bodies.append((3, 0, 0, 0, 1, 0, names))
    data, headers = b"", bytes(64)
    for kind_, flags, link, info, align, entry, body in bodies:
        size = body if isinstance(body, int) else len(body)
        headers += struct.pack("<IIQQQQIIQQ", 0, kind_, flags, 0, 64 + len(data), size, link, info, align, entry)
        data += b"" if isinstance(body, int) else body
    ident = b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 0, 64 + len(data), 0, 64, 0, 0, 64, len(bodies) + 1, 0)
    return ident + header + data + headers


def code(*parts: bytes) -> bytes:
    return b"".join(parts)


MOV_RAX = b"\x48\xb8" + bytes(8)  # movabs $imm64, %rax
LOAD_RAX = b"\x48\x8b\x00"  # mov (%rax), %rax
JMP_RAX, RET = b"\xff\xe0", b"\xc3"
FORTY_TWO = b"\xb8\x2a\0\0\0" + RET
TEXT = (PROGBITS, ALLOC | EXEC)


def function(library: Library, name: str, *args):
    return ctypes.CFUNCTYPE(ctypes.c_int64, *args)(library.address(name))


def test_a_function_runs():
    library = Library.from_object(elf([(*TEXT, FORTY_TWO)], [("answer", GLOBAL | 2, 1, 0, 6)]))
    assert function(library, "answer")() == 42


@pytest.mark.parametrize(
    "body, offset, kind, addend",
    [
        (code(MOV_RAX, JMP_RAX), 2, R_64, 0),
        (b"\xe9\0\0\0\0", 1, R_PLT32, -4),  # jmp
        (b"\xff\x25\0\0\0\0", 2, R_GOTPCREL, -4),  # jmp *slot
    ],
)
def test_external_functions_are_reached(body, offset, kind, addend):
    data = elf(
        [(*TEXT, body)],
        [("magnitude", GLOBAL | 2, 1, 0, len(body)), ("labs", GLOBAL, 0, 0, 0)],
        [(1, offset, kind, 2, addend)],
    )
    assert function(Library.from_object(data), "magnitude", ctypes.c_int64)(-7) == 7


def test_the_support_library_comes_first():
    data = elf(
        [(*TEXT, code(MOV_RAX, JMP_RAX))],
        [("threads", GLOBAL | 2, 1, 0, 12), ("pith_get_num_threads", GLOBAL, 0, 0, 0)],
        [(1, 2, R_64, 2, 0)],
    )
    assert function(Library.from_object(data), "threads")() & 0xFFFFFFFF == pith.runtime.num_threads()


def test_constants_data_and_addends():
    body = code(MOV_RAX, LOAD_RAX, RET)
    data = elf(
        [
            (*TEXT, body * 2),
            (PROGBITS, ALLOC, struct.pack("<qq", 5, 6)),
            (PROGBITS, ALLOC | WRITE, struct.pack("<q", 7)),
        ],
        [
            ("six", GLOBAL | 2, 1, 0, 14),
            ("seven", GLOBAL | 2, 1, 14, 14),
            ("table", LOCAL | 3, 2, 0, 0),
            ("cell", LOCAL | 1, 3, 0, 8),
        ],
        [(1, 2, R_64, 3, 8), (1, 16, R_64, 4, 0)],
    )
    library = Library.from_object(data)
    assert (function(library, "six")(), function(library, "seven")()) == (6, 7)
    assert library.find("cell") is None  # local


@pytest.mark.parametrize("section, value", [(COMMON, 32), (LARGE_COMMON, 64)])
def test_common_symbols_are_zero_aligned_and_writable(section, value):
    data = elf([(*TEXT, FORTY_TWO), (NOBITS, ALLOC | WRITE, 100)], [("lock", GLOBAL | 1, section, value, 32)])
    library = Library.from_object(data)
    address = library.address("lock")
    assert address % value == 0 and ctypes.string_at(address, 32) == bytes(32)
    ctypes.memset(address, 1, 32)


def test_no_page_is_writable_and_executable():
    library = Library.from_object(
        elf(
            [(*TEXT, FORTY_TWO), (PROGBITS, ALLOC, b"c" * 8), (PROGBITS, ALLOC | WRITE, b"d" * 8)],
            [("f", GLOBAL, 1, 0, 0), ("c", GLOBAL, 2, 0, 0), ("d", GLOBAL, 3, 0, 0)],
        )
    )
    assert [protection(library.address(name)) for name in "fcd"] == ["r-xp", "r--p", "rw-p"]


def protection(address: int) -> str:
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(x, 16) for x in line.split()[0].split("-"))
        if begin <= address < end:
            return line.split()[1]
    raise LookupError(hex(address))


def test_unloading_unmaps():
    library = Library.from_object(elf([(*TEXT, FORTY_TWO)], [("f", GLOBAL, 1, 0, 0)]))
    address = library.address("f")
    del library
    with pytest.raises(LookupError):
        protection(address)


F = ("f", GLOBAL, 1, 0, 0)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "too few"),
        (b"\x7fELF", "too few"),
        (b"MZ" + bytes(100), "not an ELF"),
        (elf([(*TEXT, RET)], [F], elf_class=1), "64-bit"),
        (elf([(*TEXT, RET)], [F], machine=183), "machine 183"),
        (elf([(*TEXT, RET)], [F], kind=3), "type 3"),
        (elf([(PROGBITS, ALLOC | EXEC | WRITE, RET)], [F]), "writable and executable"),
        (elf([(*TEXT, RET), (INIT_ARRAY, ALLOC | WRITE, bytes(8))], [F]), "constructors"),
        (elf([(NOBITS, ALLOC | WRITE, 1 << 60)]), "too large"),
        (elf([(*TEXT, RET)], [("f", GLOBAL, 9, 0, 0)]), "'f' is in section 9"),
        (elf([(*TEXT, RET)], [("f", GLOBAL, 1, 2, 0)]), "outside of its section"),
        (elf([(*TEXT, RET)], [("f", GLOBAL | 6, 1, 0, 0)]), "thread-local"),
        (elf([(*TEXT, RET)], [("no_such_function", GLOBAL, 0, 0, 0)]), "undefined symbol 'no_such_function'"),
        (elf([(*TEXT, bytes(8))], [F], [(1, 1, R_64, 1, 0)]), "relocation lies outside"),
        (elf([(*TEXT, bytes(8))], [F], [(1, 0, R_64, 5, 0)]), "symbol 5"),
        (elf([(*TEXT, bytes(8))], [F], [(1, 0, R_TPOFF64, 1, 0)]), "relocation type 18"),
        (elf([(*TEXT, bytes(8))], [F], [(1, 0, R_32, 1, 0)]), "cannot reach 'f'"),
    ],
)
def test_errors_say_what_is_wrong(data, message):
    with pytest.raises(pith.RuntimeLibraryError, match=message):
        Library.from_object(data)


def test_missing_exports_are_named():
    library = Library.from_object(elf([(*TEXT, RET)], [F]))
    with pytest.raises(pith.RuntimeLibraryError, match="does not export 'g'"):
        library.address("g")


def test_weak_symbols_may_be_missing():
    data = elf([(*TEXT, code(MOV_RAX, RET))], [F, ("nowhere", WEAK, 0, 0, 0)], [(1, 2, R_64, 2, 0)])
    assert function(Library.from_object(data), "f")() == 0


def sample() -> bytes:
    return elf(
        [(*TEXT, code(MOV_RAX, LOAD_RAX, RET)), (PROGBITS, ALLOC, bytes(64)), (NOBITS, ALLOC | WRITE, 64)],
        [F, ("labs", GLOBAL, 0, 0, 0), ("table", LOCAL | 3, 2, 0, 0), ("lock", GLOBAL, COMMON, 8, 32)],
        [(1, 2, R_64, 3, 8), (2, 0, R_64, 2, 0), (2, 16, R_PC32, 1, 0)],
    )


def damaged_objects(seed: int, count: int):
    """Truncations at every length, every byte set to 0 and 255, and random flips."""
    data = sample()
    Library.from_object(data)
    yield from (data[:n] for n in range(len(data)))
    for i in range(len(data)):
        yield from (data[:i] + bytes([b]) + data[i + 1 :] for b in (0, 0x7F, 0xFF, data[i] ^ 1, data[i] ^ 0x80))
    generator = random.Random(seed)
    for _ in range(count):
        bad = bytearray(data)
        for _ in range(generator.randint(1, 8)):
            bad[generator.randrange(len(bad))] = generator.randrange(256)
        yield bytes(bad)


def load_all(seed: int, count: int) -> int:
    refused = 0
    for data in damaged_objects(seed, count):
        try:
            Library.from_object(data)
        except pith.RuntimeLibraryError:
            refused += 1
    return refused


def test_damaged_objects_never_crash():
    """In a process of its own: a crash is then a failed test."""
    script = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); import test_runtime_object as t;"
    result = subprocess.run(
        [sys.executable, "-c", script + "print(t.load_all(7, 20000))"], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > len(sample())
