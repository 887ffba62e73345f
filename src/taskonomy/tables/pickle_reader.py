"""A reader for pickles of one dict of strings to float64 numbers; it refuses anything else.

A pickle is a program for a stack machine. This machine knows only the instructions that Python and numpy write for such a dict, in any protocol. It
creates no object that a pickle names, and nests nothing except numbers in the dict and numpy's description of a number in flat tuples. So the cost of
each instruction is proportional to its bytes, and limits on bytes and instructions bound the total for any file, malicious ones included.
"""

import codecs
import re
import struct
from collections.abc import Callable
from typing import NoReturn

from taskonomy.parsing.user_text import number

# The largest released file has 1,762 entries: below 400 kB and 34,000 instructions in the most verbose protocol.
LIMIT = 2**20  # most bytes of a file
STEPS = 100_000  # most instructions of a file
LONGEST = 4096  # most bytes of a string, or of a line of protocol 0
_BYTES = 8  # size of a float64
_FLAT = 8  # most values in a tuple: numpy describes a number type by version, byte order, and six more


class RefusedPickleError(Exception):
    """A pickle holds something other than such a dict; says what, and where."""


class _Kind:
    """Stands for `numpy.dtype('f8')`."""


class _Scalar:
    """Stands for `numpy.core.multiarray.scalar`, before it is called."""


class _DType:
    """Stands for `numpy.dtype`, before it is called."""


class _Encode:
    """Stands for `_codecs.encode`, with which Python 3 writes bytes into old protocols, before it is called."""


_NAMES: dict[tuple[object, object], object] = {
    ("numpy.core.multiarray", "scalar"): _Scalar(),
    ("numpy._core.multiarray", "scalar"): _Scalar(),
    ("numpy", "dtype"): _DType(),
    ("_codecs", "encode"): _Encode(),
}


def numbers_of(data: bytes) -> dict[str, float]:
    """Read the dict in a pickle.

    Raises:
        RefusedPickleError: The pickle holds, or asks for, anything else.
    """
    if len(data) > LIMIT:
        raise RefusedPickleError(f"more than {LIMIT:,} bytes, which the released files stay far below")
    return _Machine(data).run()


class _Machine:
    """The state of a pickle while it is read, once, from beginning to end.

    Attributes:
        at: Position of the next byte to read.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.stack: list[object] = []
        self.marks: list[int] = []  # positions on the stack from which one instruction takes all values
        self.memo: dict[int, object] = {}
        self.found: dict[str, float] | None = None

    def run(self) -> dict[str, float]:
        """Execute every instruction up to the last."""
        start = 0
        try:
            for _step in range(STEPS):
                start = self.at
                code = self._take(1)
                if code == b".":
                    return self._end()
                if (does := _INSTRUCTIONS.get(code)) is None:
                    self._refuse(f"it has an instruction that such a file does not need, {code!r}")
                does(self)
            self._refuse(f"more than {STEPS:,} instructions")
        except RefusedPickleError as error:
            raise RefusedPickleError(f"{error} (byte {start:,})") from None
        except ValueError as error:  # invalid text, or text that is not a number
            raise RefusedPickleError(f"{error} (byte {start:,})") from None

    def _end(self) -> dict[str, float]:
        if len(self.stack) != 1 or self.stack[0] is not self.found or self.found is None:
            self._refuse("it holds no dict of strings to float64")
        if self.at < len(self.data):
            self._refuse(f"{len(self.data) - self.at:,} bytes follow its end")
        return self.found

    # Parts that instructions are made of.

    def _refuse(self, what: str) -> NoReturn:
        raise RefusedPickleError(what)

    def _take(self, size: int) -> bytes:
        if (end := self.at + size) > len(self.data):
            self._refuse("the file ends in the middle")
        taken, self.at = self.data[self.at : end], end
        return taken

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.at, self.at + LONGEST)
        if end < 0:
            self._refuse(f"no end of a line in {LONGEST:,} bytes")
        line, self.at = self.data[self.at : end], end + 1
        return line

    def _whole(self) -> int:
        """Read an integer of protocol 0, with no more digits than numpy needs."""
        if not re.fullmatch(rb"-?\d{1,10}", line := self._line()):
            self._refuse(f"a whole number that is none, or a long one: {line[:40]!r}")
        return int(line)

    def _sized(self, form: str) -> bytes:
        (size,) = struct.unpack(form, self._take(struct.calcsize(form)))
        if not 0 <= size <= LONGEST:
            self._refuse(f"a string of {size:,} bytes, more than {LONGEST:,}")
        return self._take(size)

    def _pop(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self._refuse("more values taken than there are")
        return self.stack.pop()

    def _to_mark(self) -> list[object]:
        if not self.marks:
            self._refuse("more values taken than there are")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    # Instructions.

    def protocol(self) -> None:
        (version,) = self._take(1)
        if self.at != len(b"\x80\x02") or version > 5:
            self._refuse(f"protocol {version}, or not at the begin")

    def frame(self) -> None:
        (size,) = struct.unpack("<Q", self._take(8))
        if size > len(self.data) - self.at:
            self._refuse("the file ends in the middle")

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def push_text(self, raw: bytes, encoding: str) -> None:
        self.stack.append(raw.decode(encoding))

    def quoted(self) -> None:
        line = self._line().strip()
        if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
            self._refuse("a string without quotes")
        self.push_text(codecs.escape_decode(line[1:-1])[0], "latin1")

    def float_line(self) -> None:
        self.stack.append(number(self._line().decode("ascii")))

    def push_flag(self) -> None:
        line = self.data[self.at : self.at + 3]
        self.stack.append(self._whole() if line not in (b"00\n", b"01\n") else bool(int(self._line())))

    def put(self, place: int) -> None:
        if not self.stack or (self.marks and self.marks[-1] == len(self.stack)):
            self._refuse("nothing there to be remembered")
        self.memo[place] = self.stack[-1]

    def get(self, place: int) -> None:
        if place not in self.memo:
            self._refuse(f"memory {place}, where nothing was put")
        self.stack.append(self.memo[place])

    def flat(self, values: list[object]) -> None:
        if len(values) > _FLAT:
            self._refuse(f"a tuple of {len(values):,} values")
        if any(not (value is None or isinstance(value, str | bytes | int | _Kind)) for value in values):
            self._refuse("a tuple of other things than strings and whole numbers")
        self.stack.append(tuple(values))

    def dictionary(self, values: list[object]) -> None:
        if self.found is not None:
            self._refuse("a second dict")
        self.found = {}
        self.stack.append(self.found)
        self.fill(values)

    def fill(self, values: list[object]) -> None:
        """Add entries to the dict, which is on top of the stack."""
        found = self.found
        if found is None or not self.stack or self.stack[-1] is not found or len(values) % 2:
            self._refuse("entries of no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str or type(value) is not float:
                self._refuse(f"the entry of {_shown(key)} is a {_called(value)}, not a string to float64")
            if key in found:
                self._refuse(f"entry {_shown(key)} stands twice")
            found[key] = value

    def name(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            self._refuse("it asks for something without a name")
        if (known := _NAMES.get((module, name))) is None:
            asked = f"{module}.{name}"[:80]
            self._refuse(f"it asks for {asked if asked.isprintable() else repr(asked)}")
        self.stack.append(known)

    def call(self) -> None:
        given, function = self._pop(), self._pop()
        if isinstance(given, tuple):
            match function, given:
                case _DType(), ("f8" | "<f8", *_flags):
                    self.stack.append(_Kind())
                    return
                case _DType(), (kind, *_flags):
                    self._refuse(f"number type {_shown(kind)} instead of float64")
                # Limited to eight bytes: a memorised value can be reused at no cost in bytes, so each call must be cheap whatever its argument.
                case _Encode(), (str(text), "latin1") if len(text) == _BYTES:
                    self.stack.append(text.encode("latin1"))
                    return
                case _Scalar(), (_Kind(), str() | bytes() as raw) if len(raw) == _BYTES:
                    self.stack.append(struct.unpack("<d", raw.encode("latin1") if isinstance(raw, str) else raw)[0])
                    return
        self._refuse("a call that makes no float64")

    def state(self) -> None:
        """Check the state that numpy gives a number type: its byte order must be little-endian."""
        said, kind = self._pop(), self._pop()
        if not (isinstance(kind, _Kind) and isinstance(said, tuple) and len(said) > 1 and said[1] == "<"):
            self._refuse("a float64 that is not little-endian, or the state of something else")
        self.stack.append(kind)


def _shown(value: object) -> str:
    """Format a value for an error."""
    return repr(value[:40]) if isinstance(value, str | bytes) else f"a {_called(value)}"


def _called(value: object) -> str:
    return {_Kind: "number type", _Scalar: "function", _DType: "function", _Encode: "function"}.get(type(value), type(value).__name__)


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"(": _Machine.mark,
    # Strings of Python 2, strings of Python 3, and bytes.
    b"S": _Machine.quoted,
    b"U": lambda one: one.push_text(one._sized("<B"), "latin1"),
    b"T": lambda one: one.push_text(one._sized("<i"), "latin1"),
    b"V": lambda one: one.push_text(one._line(), "raw-unicode-escape"),
    b"X": lambda one: one.push_text(one._sized("<I"), "utf-8"),
    b"\x8c": lambda one: one.push_text(one._sized("<B"), "utf-8"),
    b"C": lambda one: one.stack.append(one._sized("<B")),
    b"B": lambda one: one.stack.append(one._sized("<I")),
    # Numbers, and numpy's description of their type.
    b"F": _Machine.float_line,
    b"G": lambda one: one.stack.append(struct.unpack(">d", one._take(8))[0]),
    b"I": _Machine.push_flag,
    b"J": lambda one: one.stack.append(struct.unpack("<i", one._take(4))[0]),
    b"K": lambda one: one.stack.append(one._take(1)[0]),
    b"M": lambda one: one.stack.append(struct.unpack("<H", one._take(2))[0]),
    b"N": lambda one: one.stack.append(None),
    b"\x88": lambda one: one.stack.append(True),
    b"\x89": lambda one: one.stack.append(False),
    b"t": lambda one: one.flat(one._to_mark()),
    b"\x85": lambda one: one.flat([one._pop()]),
    b"\x86": lambda one: one.flat([one._pop(), one._pop()][::-1]),
    b"\x87": lambda one: one.flat([one._pop(), one._pop(), one._pop()][::-1]),
    b"c": lambda one: one.name(one._line().decode("ascii"), one._line().decode("ascii")),
    b"\x93": lambda one: one.name(*[one._pop(), one._pop()][::-1]),
    b"R": _Machine.call,
    b"b": _Machine.state,
    # The dict.
    b"}": lambda one: one.dictionary([]),
    b"d": lambda one: one.dictionary(one._to_mark()),
    b"s": lambda one: one.fill([one._pop(), one._pop()][::-1]),
    b"u": lambda one: one.fill(one._to_mark()),
    # Memo: values stored for reuse.
    b"p": lambda one: one.put(one._whole()),
    b"q": lambda one: one.put(one._take(1)[0]),
    b"r": lambda one: one.put(struct.unpack("<I", one._take(4))[0]),
    b"\x94": lambda one: one.put(len(one.memo)),
    b"g": lambda one: one.get(one._whole()),
    b"h": lambda one: one.get(one._take(1)[0]),
    b"j": lambda one: one.get(struct.unpack("<I", one._take(4))[0]),
}
