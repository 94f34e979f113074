"""YAML and JSON text -> plain data, and where each thing stands. Knows nothing of files, or of what the data means.

YAML is read as the core schema of YAML 1.2 has it: `on`, `NO`, `1:30` and `2016-10-31` are texts, 010 is ten, and a tag
of one's own is refused. JSON is read to the same data. PyYAML is imported only for a text that is YAML.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from itertools import accumulate
from typing import Any, NamedTuple

Keys = tuple[Any, ...]
"""A place in the data: `("images", 3, "Platform")`."""
Position = tuple[int, int]
"""Line and column, from 1; (0, 0) if there is none."""
Node = Any
"""One of PyYAML's nodes, or its stand-in for JSON: `id` (scalar, sequence, mapping), `tag`, `value`, `start_mark`."""

DEEPEST = 100
"""How deeply a document may be nested, aliases included: what goes over it calls itself at each level. [choice]"""
MOST_ALIASED = 1_000_000
"""How many values the aliases of a document may stand for. [choice]"""
LONGEST_NUMBER = 4000
"""In digits: Python refuses to write out one that is a little longer. [choice]"""

_TAG = "tag:yaml.org,2002:"
_TEXT, _MAPPING, _LIST, _MERGE = _TAG + "str", _TAG + "map", _TAG + "seq", _TAG + "merge"
_CONTAINERS = frozenset((dict, list))
_LARGEST_NUMBER = 10**LONGEST_NUMBER
_TOO_DEEP = f"this is nested more than {DEEPEST} deep"
_TOO_LONG = f"this number has more than {LONGEST_NUMBER} digits"


def _whole_number(text: str) -> int:
    digits = text.lstrip("+-")
    base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
    number = int(text, base) if base != 10 or len(digits) <= LONGEST_NUMBER else _LARGEST_NUMBER
    if abs(number) >= _LARGEST_NUMBER:
        raise ValueError(_TOO_LONG)
    return number


_CORE: dict[str, tuple[str, re.Pattern[str], Any]] = {
    # The first characters by which PyYAML looks a scalar up, what it looks like, and what it means.
    _TAG + "null": ("~nN", re.compile(r"null|Null|NULL|~|"), lambda _: None),
    _TAG + "bool": ("tTfF", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text[0] in "tT"),
    _TAG + "int": (
        "-+0123456789",
        re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
        _whole_number,
    ),
    _TAG + "float": (
        "-+.0123456789",
        re.compile(
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        lambda text: float(re.sub(r"\.(?=[iInN])", "", text)),
    ),
    _MERGE: ("<", re.compile("<<"), str),
}

NAME = re.compile(r"[\w$][\w.-]{0,60}")
"""What a key looks like. What does not, in a file that is wrong, is not shown: it may be the text of another file."""

_SURROGATE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<lone>u[dD][89a-fA-F]..)|.)")
"""An escape in a JSON text; `lone` if it is half a character."""
_JSON_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<open>[\[{])|(?P<close>[\]}])|(?P<word>[^\s,:\[\]{}"]+)')
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|#.*")
_PLACEHOLDER = re.compile(r"\{n\b")


class DocumentError(Exception):
    """A text, or a value in it, that is not YAML or not JSON."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class Flaw(NamedTuple):
    """What is wrong with a value of a text that can be parsed, whatever it is for."""

    keys: Keys
    position: Position
    message: str


class Document:
    """A parsed text: its plain `data` (None if the text is empty), and its nodes.

    `flawed`: whether something is wrong that the data does not show, such as a duplicate key (see `flaws`).
    """

    def __init__(self, name: str, text: str, *, is_json: bool = False) -> None:
        """Parse a text. Raises DocumentError."""
        self.name = name
        self.flawed: bool = False
        self._text = text
        self._is_json = is_json
        if is_json:
            self.data: Any = self._json_data()
        else:
            if self.root is not None and "*" in text:
                _refuse_alias_bomb(self.root)
            self.data = None if self.root is None else self._plain(self.root)

    @cached_property
    def root(self) -> Node | None:
        """The root node; None if the text is empty. Of JSON it is made only once somebody asks where a thing is."""
        return _json_nodes(self._text) if self._is_json else _compose(self._text)

    def find(self, keys: Keys, *, key: bool = False) -> Position:
        """Return where a place in the data stands: its value, or its key.

        If it is not there, what it would be in.
        """
        at = node = self.root
        for name in keys:
            found = _part(node, name)
            if found is None:
                return position_of(node)
            at, node = found
        return position_of(at if key else node)

    def written(self, keys: Keys) -> str:
        """Return a scalar as it stands in the text."""
        node = self.root
        for name in keys:
            found = _part(node, name)
            node = found[1] if found else None
        return str(node.value) if node is not None and node.id == "scalar" else ""

    def flaws(self) -> Iterator[Flaw]:
        """Yield what is wrong with the text's values, in the order of the text. Each is told of once."""
        yield from _flaws(self.root, (), set()) if self.root is not None else ()

    def _plain(self, node: Node) -> Any:
        tag = node.tag
        if tag == _TEXT:
            return node.value
        kind = node.id
        if kind == "mapping" and tag == _MAPPING:
            return self._mapping(node)
        if kind == "sequence" and tag == _LIST:
            return [self._plain(item) for item in node.value]
        if kind == "scalar":
            with suppress(DocumentError):
                return _scalar(node)
        self.flawed = True
        return None

    def _mapping(self, node: Node) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        for key, value in _pairs(node):
            name = key.value if key.tag == _TEXT else self._plain(key) if key.id == "scalar" else None
            if name in mapping or key.id != "scalar":
                self.flawed = True
            else:
                mapping[name] = self._plain(value)
        return mapping

    def _json_data(self) -> Any:
        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            unique = dict(pairs)
            if len(unique) < len(pairs):
                self.flawed = True
                unique = dict(reversed(pairs))  # the first counts, as in YAML
            return unique

        def refuse(word: str) -> None:
            start = next(found.start() for found in _JSON_TOKEN.finditer(self._text) if found["word"] == word)
            raise DocumentError(f"this is not JSON: {word}", position_in(self._text, start))

        try:
            hooks: Any = {"object_pairs_hook": mapping, "parse_constant": refuse, "parse_int": _whole_number}
            data = json.loads(self._text, **hooks) if self._text.strip() else None
        except json.JSONDecodeError as error:
            raise DocumentError(f"this is not JSON: {error.msg}", (error.lineno, error.colno)) from None
        except RecursionError:
            raise DocumentError(_TOO_DEEP, _too_deep_in_json(self._text)) from None
        except ValueError as error:  # a number is too long
            words = ((token["word"] or "", token.start()) for token in _JSON_TOKEN.finditer(self._text))
            long = (at for word, at in words if _json_kind(word) == "int" and len(word.lstrip("-")) > LONGEST_NUMBER)
            raise DocumentError(str(error), position_in(self._text, next(long, 0))) from None
        for escape in _SURROGATE.finditer(self._text) if "\\u" in self._text else ():
            if escape["lone"]:
                message = f"this is not JSON: \\{escape['lone']} is half a character"
                raise DocumentError(message, position_in(self._text, escape.start()))
        if _is_too_deep(data):
            raise DocumentError(_TOO_DEEP, _too_deep_in_json(self._text))
        return data


def short_tag(node: Node) -> str:
    """Return a node's tag, YAML's own ones by their short names."""
    return str(node.tag).replace(_TAG, "!!")


def position_of(node: Node | None) -> Position:
    """Return where a node (or an event) begins."""
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)


def position_in(text: str, offset: int) -> Position:
    """Return the position of an offset in a text."""
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def shortened(text: object) -> str:
    """Return a text that fits into a message: a long one cut short."""
    whole = str(text)
    return whole if len(whole) <= 80 else whole[:77] + "..."


def quoted(text: object) -> str:
    """Return a text in quotes; a long one cut short."""
    return repr(shortened(text))


def _scalar(node: Node) -> Any:
    """Return what a scalar means. Raises DocumentError if it means nothing."""
    tag, text = node.tag, node.value
    if tag in (_TEXT, _MERGE):
        return text
    if tag not in _CORE:
        raise DocumentError(f"unknown tag {short_tag(node)}; remove it", position_of(node))
    _, looks, read = _CORE[tag]
    if not looks.fullmatch(text):
        message = f"{quoted(text)} can't be read as {short_tag(node)}; if it is a text, write it in quotes"
        raise DocumentError(message, position_of(node))
    try:
        return read(text)
    except ValueError as error:
        raise DocumentError(str(error), position_of(node)) from None


def _pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """Yield the keys and values of a mapping; after its own, those that `<<` merges into it.

    Its own hide those of the same name. Raises DocumentError if `<<` stands before anything but mappings.
    """
    merged: list[Node] = []
    for key, value in node.value:
        if key.tag == _MERGE:
            merged += value.value if value.id == "sequence" else [value]
        else:
            yield key, value
    if merged:
        names = {key.value for key, _ in node.value if key.id == "scalar"}
        for source in merged:
            if source.id != "mapping":
                raise DocumentError("<< merges a mapping, or a list of mappings", position_of(source))
            for key, inherited in _pairs(source):
                if key.id == "scalar" and key.value not in names:
                    names.add(key.value)
                    yield key, inherited


def _name(key: Node) -> Any:
    """Return a key as the data has it; a node that is none, as itself."""
    if key.id == "scalar":
        with suppress(DocumentError):
            return _scalar(key)
    return key


def _part(node: Node | None, name: Any) -> tuple[Node, Node] | None:
    """Return the key and the value of a name in a mapping; an item of a list is both."""
    if node is not None and node.id == "sequence" and isinstance(name, int) and name < len(node.value):
        return node.value[name], node.value[name]
    pairs = _pairs(node) if node is not None and node.id == "mapping" else ()
    return next((pair for pair in pairs if _name(pair[0]) == name), None)


def _flaws(node: Node, keys: Keys, seen: set[int]) -> Iterator[Flaw]:
    if id(node) in seen:  # an alias of it
        return
    seen.add(id(node))
    if node.id == "scalar":
        try:
            _scalar(node)
        except DocumentError as error:
            yield Flaw(keys, error.position, error.message)
        return
    if node.tag not in (_MAPPING, _LIST):
        yield Flaw(keys, position_of(node), f"unknown tag {short_tag(node)}; remove it")
        return
    if node.id == "sequence":
        for index, item in enumerate(node.value):
            yield from _flaws(item, (*keys, index), seen)
        return
    first: dict[Any, Node] = {}
    for key, value in node.value:
        name = _name(key)
        if key.id != "scalar":
            yield Flaw(keys, position_of(key), "a key must be a text")
        elif key.tag != _MERGE:
            if name is key:
                yield from _flaws(key, keys, seen)
            if first.setdefault(name, key) is not key:
                line, column = position_of(first[name])
                said = f"is there already, at {line}:{column}; remove one of them"
                if NAME.fullmatch(key.value):
                    yield Flaw((*keys, name), position_of(key), f"the key {quoted(key.value)} {said}")
                else:
                    yield Flaw(keys, position_of(key), f"this key {said}")
                continue
        yield from _flaws(value, keys if key.tag == _MERGE else (*keys, name), seen)


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader, in C where there is one, with the core schema and a limit to nesting."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # which one it is depends on how PyYAML was built
        depth = 0

        def descend_resolver(self, parent: Node | None, index: Any) -> None:
            self.depth += 1
            if self.depth > DEEPEST:
                raise DocumentError(_TOO_DEEP, position_of(parent))
            super().descend_resolver(parent, index)

        def ascend_resolver(self) -> None:
            self.depth -= 1
            super().ascend_resolver()

    resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {"": [(_TAG + "null", re.compile(""))]}
    for tag, (firsts, looks, _) in _CORE.items():
        for first in firsts:
            resolvers.setdefault(first, []).append((tag, re.compile(f"(?:{looks.pattern})\\Z")))
    Loader.yaml_implicit_resolvers = resolvers
    return Loader


def _compose(text: str) -> Node | None:
    import yaml
    from yaml.reader import Reader, ReaderError

    try:
        return _loader()(text).get_single_node()
    except ReaderError:
        found = Reader.NON_PRINTABLE.search(text)
        position = position_in(text, found.start() if found else 0)
        raise DocumentError("this is not YAML: control characters are not allowed", position) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        assert mark  # noqa: S101 - for the type checker: it has one of the two
        _refuse_deep_nesting(text[: mark.index])
        composing = isinstance(error, yaml.composer.ComposerError)
        message = _what_is_no_yaml(text, mark.index, composing=composing)
        if not message and error.context_mark:
            message = _what_is_no_yaml(text, error.context_mark.index, composing=composing)
        # Without its C library, PyYAML names what it did not find; but where a secret should stand, that is one.
        problem = re.sub(r"(alias|anchor|handle) '.*?'", r"\1", error.problem or "")
        message = message or " ".join(part for part in (error.context, problem) if part)
        raise DocumentError(f"this is not YAML: {message}", (mark.line + 1, mark.column + 1)) from None


def _what_is_no_yaml(text: str, offset: int, *, composing: bool) -> str:
    """Return what is wrong at an offset, where we can tell; PyYAML's own words depend on its version."""
    rest = text[offset : offset + 1]
    line = text[text.rfind("\n", 0, offset) + 1 :].partition("\n")[0]
    if rest == "\t":
        return "a tab can't indent; write spaces"
    if composing:
        kinds = {"*": "found undefined alias", "&": "this anchor is there already; give it another name"}
        return kinds.get(rest, "expected a single document in the stream but found another document")
    if _PLACEHOLDER.search(_QUOTED.sub("", line)):
        return "a text with {n} in it must be in quotes"
    return ""


def _refuse_deep_nesting(text: str) -> None:
    """Raise DocumentError if the beginning of a text is nested too deeply, whatever else is wrong with it.

    Some versions of libyaml have a limit of their own, and meet it while they look ahead, before they tell of anything.
    """
    import yaml

    depth = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, _loader()):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise DocumentError(_TOO_DEEP, position_of(event))


def _refuse_alias_bomb(root: Node) -> None:
    """Raise DocumentError if aliases stand for too much, for what they are inside of, or are nested too deeply.

    Nothing is expanded to find out.
    """
    measured: dict[int, tuple[int, int]] = {}  # size and depth of each node
    open_nodes: set[int] = set()
    waiting: list[tuple[Node, bool]] = [(root, False)]
    while waiting:
        node, parts_measured = waiting.pop()
        key = id(node)
        parts = [part for pair in node.value for part in pair] if node.id == "mapping" else node.value
        parts = () if node.id == "scalar" else parts
        if parts_measured:
            open_nodes.remove(key)
            size = 1 + sum(measured[id(part)][0] for part in parts)
            depth = 1 + max((measured[id(part)][1] for part in parts), default=0)
            if depth > DEEPEST:
                raise DocumentError(f"{_TOO_DEEP}, with its aliases", position_of(node))
            measured[key] = (size, depth)
        elif key in open_nodes:
            raise DocumentError("an alias stands for something that it is itself a part of", position_of(node))
        elif key not in measured:
            open_nodes.add(key)
            waiting.append((node, True))
            waiting += [(part, False) for part in parts]
    aliased = measured[id(root)][0] - len(measured)
    if aliased > MOST_ALIASED:
        message = f"aliases stand for {aliased:,} values, more than {MOST_ALIASED:,}; use repeat, or write less"
        raise DocumentError(message, position_of(root))


class _Mark(NamedTuple):
    line: int
    column: int


class _JsonNode(NamedTuple):
    id: str
    tag: str
    value: Any
    start_mark: _Mark


def _json_nodes(text: str) -> Node | None:
    """Return the nodes of a text that is known to be JSON."""
    newlines = [found.start() for found in re.finditer("\n", text)]
    marks: list[_Mark] = []
    found: list[list[Node]] = [[]]  # the parts of each container that is still open; outermost, the document itself
    for token in _JSON_TOKEN.finditer(text):
        written, kind, start = token[0], token.lastgroup, token.start()
        line = bisect_right(newlines, start)
        mark = _Mark(line, start - (newlines[line - 1] + 1 if line else 0))
        if kind == "open":
            marks.append(mark)
            found.append([])
        elif kind == "close":
            parts = found.pop()
            if written == "]":
                node = _JsonNode("sequence", _LIST, parts, marks.pop())
            else:
                node = _JsonNode("mapping", _MAPPING, list(zip(parts[::2], parts[1::2], strict=True)), marks.pop())
            found[-1].append(node)
        elif kind == "text":
            found[-1].append(_JsonNode("scalar", _TEXT, json.loads(written), mark))
        else:
            found[-1].append(_JsonNode("scalar", _TAG + _json_kind(written), written, mark))
    return found[0][0] if found[0] else None


def _json_kind(word: str) -> str:
    if word in ("true", "false"):
        return "bool"
    if word == "null":
        return "null"
    return "int" if word.lstrip("-").isdigit() else "float"


def _is_too_deep(data: Any) -> bool:
    level = [data] if type(data) in _CONTAINERS else []
    for _ in range(DEEPEST):
        level = [
            part
            for outer in level
            for part in (outer.values() if type(outer) is dict else outer)
            if type(part) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def _too_deep_in_json(text: str) -> Position:
    """Return where a text that is nested too deeply is so for the first time."""
    tokens = [token for token in _JSON_TOKEN.finditer(text) if token.lastgroup in ("open", "close")]
    depths = accumulate(1 if token.lastgroup == "open" else -1 for token in tokens)
    return position_in(
        text, next(token.start() for token, depth in zip(tokens, depths, strict=True) if depth > DEEPEST)
    )
