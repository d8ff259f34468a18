"""Reads OpenWrt's configuration text (UCI) and makes of every byte string what libuci makes of it, errors included.

It knows nothing of mailrelay's options: that is `schema`, which calls it for the config, as `machine` does for the
names of OpenWrt's networks. It writes no config files; `export` and `show` exist to be compared with what `uci export`
and `uci show` print.
"""

from __future__ import annotations

_SPACE = b" \t\n\v\f\r"
_FIRST_READ = 32  # libuci's line buffer; it doubles. Tells which bytes a NUL hides.
_COMMANDS = {
    b"package": "package", b"p": "package", b"config": "config", b"c": "config",
    b"option": "option", b"o": "option", b"list": "list", b"l": "list",
}  # fmt: skip


class ParseError(Exception):
    """The text is no UCI. `line` and `byte` are libuci's; `began` is the line on which the faulty command starts."""

    def __init__(self, line: int, byte: int, reason: str, began: int = 0) -> None:
        super().__init__(f"Parse error ({reason}) at line {line}, byte {byte}")
        self.line = line
        self.byte = byte
        self.reason = reason
        self.began = began or line


class Section:
    """One `config` section. A value is a str (`option`) or a list of them (`list`); bytes that are no UTF-8 are
    kept as surrogates. An `option` without a value counts as absent, as in libuci."""

    def __init__(self, type: str, name: str | None, id: str, line: int) -> None:
        self.type = type
        self.name = name
        self.id = id  # the name, or the "cfg01180a" that `uci -X show` prints
        self.line = line
        self.options: dict[str, str | list[str]] = {}
        self.option_lines: dict[str, list[int]] = {}  # where each value stands: one line, or one a list entry
        self.overridden: list[tuple[str, int]] = []  # options whose earlier value is lost, and its line
        # Option ("" for the section), line, and what of it is hardly meant: an unquoted "#" or ";" that ends a word, a
        # quote that ends or begins within one, "\\" before a letter, a comment behind a value without quotes (" #") or
        # with ("' #").
        self.misread: list[tuple[str, int, str]] = []

    def set(self, option: str, value: str, line: int) -> None:
        if not value:
            return
        if option in self.options:
            self.overridden += [(option, earlier) for earlier in self.option_lines[option]]
        self.options[option] = value
        self.option_lines[option] = [line]

    def add(self, option: str, value: str, line: int) -> None:
        earlier = self.options.get(option, [])
        self.options[option] = [*([earlier] if isinstance(earlier, str) else earlier), value]
        self.option_lines.setdefault(option, []).append(line)


def parse(data: bytes) -> list[Section]:
    """Return the sections in their order, those of the same name merged; ParseError if libuci would refuse it."""
    return _Parser(data).run()


class _Parser:
    """A cursor over one line at a time. Quotes and backslashes may draw further lines into the same buffer, so that a
    byte position counts from the start of the command."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.taken = 0  # bytes of data that were read
        self.capacity = _FIRST_READ
        self.buffer = bytearray()
        self.at = 0
        self.line = 0  # newlines read: libuci's line number
        self.began = 0  # the line, counted from 1, on which this command starts
        self.pieces: list[bytes] = []  # of the last word: each quote with what it held, "\\" or "." for what has none
        self.odd = ""  # see Section.misread
        self.sections: list[Section] = []
        self.current = Section("", None, "", 0)

    def run(self) -> list[Section]:
        while self.taken < len(self.data):
            self.at = 0
            self.began = self.data.count(b"\n", 0, self.taken) + 1
            self.read_line()
            self.skip_space()
            while self.command():
                pass
        return self.sections

    def read_line(self) -> None:
        """Append the next line at the cursor, in doubling pieces; of each only what stands before a NUL."""
        del self.buffer[self.at :]
        if self.at >= self.capacity - 1:
            self.capacity *= 2
        while self.taken < len(self.data):
            piece = self.data[self.taken : self.taken + self.capacity - len(self.buffer) - 1]
            piece = piece[: piece.find(b"\n") + 1] or piece
            self.taken += len(piece)
            text = piece.partition(b"\0")[0]
            if not text:
                return
            self.buffer += text
            if text.endswith(b"\n"):
                self.line += 1
                return
            self.capacity *= 2

    def peek(self) -> int:
        """Return the byte at the cursor; 0 at the end."""
        return self.buffer[self.at] if self.at < len(self.buffer) else 0

    def fail(self, reason: str) -> ParseError:
        return ParseError(self.line, self.at, reason, self.began)

    def skip_space(self) -> None:
        while self.peek() in _SPACE:
            self.at += 1

    def command(self) -> bool:
        """Obey the command at the cursor; False at the end of the line."""
        rest = bytes(self.buffer[self.at :])
        word = rest.lstrip(b" \t")
        if not word or word.startswith(b"#"):
            return False
        lead = len(rest) - len(word)
        word = word.replace(b"\t", b" ").partition(b" ")[0]
        what = _COMMANDS.get(word)
        if what is None:
            raise self.fail("invalid command")
        if what in ("option", "list") and not self.sections:
            raise self.fail("option/list command found before the first section")
        if self.at + lead + len(word) + 1 > len(self.buffer):
            raise self.fail(f"{'option' if what == 'list' else what} without name")
        self.at += lead + len(word) + 1
        self.odd = ""
        if what == "package":
            self.name(required=True, dash=True)
            self.end()
        elif what == "config":
            self.config()
        else:
            self.option(is_list=what == "list")
        return True

    def config(self) -> None:
        kind = self.word(required=True)
        if not all(33 <= byte <= 126 for byte in kind):
            raise self.fail("invalid character in type field")
        name = _text(self.name())
        self.end()
        section = next((section for section in self.sections if section.id == name), None)
        if section is None:
            ident = name or f"cfg{len(self.sections) + 1:02x}{_hash(kind):04x}"
            section = Section(_text(kind), name or None, ident, self.began)
            self.sections.append(section)
        elif section.type != _text(kind):
            raise self.fail("section of different type overwrites prior section with same name")
        self.current = section
        self.note_odd("")

    def option(self, is_list: bool) -> None:
        name = _text(self.name(required=True))
        self.skip_space()
        if self.peek() == ord("#"):
            self.odd = "#"
        value = _text(self.word())
        self.skip_space()
        if value and self.peek() == ord("#"):
            self.odd = self.odd or ("' #" if self.pieces and b"." not in self.pieces else " #")
        self.end()
        if is_list:
            self.current.add(name, value, self.began)
        else:
            self.current.set(name, value, self.began)
        self.note_odd(name)

    def note_odd(self, option: str) -> None:
        if self.odd:
            self.current.misread.append((option, self.began, self.odd))

    def end(self) -> None:
        """Refuse anything but white space and a comment."""
        self.skip_space()
        if self.word():
            raise self.fail("too many arguments")

    def name(self, required: bool = False, dash: bool = False) -> bytes:
        """Read a word of letters, digits and _ (and - in a package's name)."""
        word = self.word(required)
        letters = word.replace(b"_", b"").replace(b"-", b"" if dash else b"-")
        if letters and not letters.isalnum():
            raise self.fail("invalid character in name field")
        return word

    def word(self, required: bool = False) -> bytes:
        """Read the next word without its quotes; empty if there is none."""
        self.skip_space()
        if self.peek() == ord(";"):
            self.at += 1
            word = b""
        else:
            word = self.quoted_word()
        if required and not word:
            raise self.fail("insufficient arguments")
        return word

    def quoted_word(self) -> bytes:
        """Read a run of quoted and unquoted pieces up to white space, # or ;."""
        word = bytearray()
        start = self.at
        self.pieces = []
        while True:
            byte = self.peek()
            if byte in (0x22, 0x27):
                held = len(word)
                self.quoted(word, byte)
                self.piece(bytes((byte, *word[held:])))
            elif byte == ord("#"):
                if word:
                    self.odd = "#"
                del self.buffer[self.at :]
            elif byte == ord(";"):
                if self.at - start == len(word):
                    # The end mark of a word that needed no unquoting falls on the semicolon: the line ends here.
                    if self.buffer[self.at + 1 :].strip():
                        self.odd = ";"
                    del self.buffer[self.at :]
                return bytes(word)
            elif byte == ord("\\"):
                self.piece(b"\\")
                if self.backslash():
                    self.take(word)
            elif byte:
                self.piece(b".")
                self.take(word)
            if self.peek() == 0:
                return bytes(word)
            if self.peek() in _SPACE:
                self.at += 1
                return bytes(word)

    def piece(self, piece: bytes) -> None:
        """Note a piece of a word, and whether a quote ends or begins in the word's middle unlike 'it'\\''s' and
        'it'"'"'s'."""
        last = self.pieces[-1] if self.pieces else b"\\"
        self.pieces.append(piece)
        quotes = [one[:1] for one in (last, piece) if one[:1] in (b"'", b'"')]
        if not quotes or b"\\" in (last, piece):
            return
        if len(quotes) == 2 and (last[1:] == piece[:1] or piece[1:] == last[:1]):
            return
        self.odd = quotes[0].decode()

    def quoted(self, word: bytearray, quote: int) -> None:
        self.at += 1
        while self.peek() != quote:
            if self.peek() == 0:
                self.read_line()
                if self.peek() == 0:
                    raise self.fail(f"EOF with unterminated {chr(quote)}")
            elif self.peek() == ord("\\") and quote == ord('"'):
                if self.backslash():
                    self.take(word)
            else:
                self.take(word)
        self.at += 1

    def take(self, word: bytearray) -> None:
        if self.at < len(self.buffer):
            word.append(self.buffer[self.at])
        self.at += 1

    def backslash(self) -> bool:
        """Tell whether the byte now at the cursor is meant literally; at the end of a line the next one is drawn in."""
        self.at += 1
        if bytes(self.buffer[self.at :]) in (b"", b"\n", b"\r\n"):
            self.read_line()
            return False
        if chr(self.peek()).isalnum():
            self.odd = self.odd or "\\"
        return True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _hash(kind: bytes) -> int:
    """Compute Bernstein's hash, the half of it that libuci puts into the name of an anonymous section."""
    value = 5381
    for byte in kind:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value & 0xFFFF


def _escape(value: str) -> str:
    return value.replace("'", "'\\''")


def _quote(value: str) -> str:
    return f"'{_escape(value)}'"


def export(sections: list[Section], package: str = "mailrelay") -> str:
    """Return what `uci export` prints; `parse` reads the same sections from it."""
    lines = [f"package {package}\n"]
    for section in sections:
        name = "" if section.name is None else " " + _quote(section.name)
        lines.append(f"\nconfig {_escape(section.type)}{name}\n")
        for option, value in section.options.items():
            if isinstance(value, str):
                lines.append(f"\toption {option} {_quote(value)}\n")
            else:
                lines += [f"\tlist {option} {_quote(entry)}\n" for entry in value]
    return "".join(lines) + "\n"


def show(sections: list[Section], package: str = "mailrelay", extended: bool = False) -> str:
    """Return what `uci show` prints, or `uci -X show` if extended."""
    lines = []
    seen: dict[str, int] = {}
    for section in sections:
        index = seen[section.type] = seen.get(section.type, -1) + 1
        where = section.id if section.name or extended else f"@{section.type}[{index}]"
        lines.append(f"{package}.{where}={section.type}\n")
        for option, value in section.options.items():
            entries = [value] if isinstance(value, str) else value
            lines.append(f"{package}.{where}.{option}={' '.join(map(_quote, entries))}\n")
    return "".join(lines)
