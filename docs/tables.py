"""Writes the tables of the documentation that the package itself knows: run it after a change, the tests compare.

A page marks the place of a table with `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fakebatch
from fakebatch.errors import DOCUMENTED, FixtureError
from fakebatch.scenarios import scenarios as all_scenarios
from fakebatch.service.baseline import load_text
from fakebatch.service.described import Described, python_name
from fakebatch.service.operation import Operation
from fakebatch.service.registry import OPERATIONS, RESOURCES, ROOMS
from fakebatch.service.schema import schema

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(Path(__file__).parent.glob("*.md"))]
PACKAGE = ROOT / "fakebatch"

_BLOCK = re.compile(r"(<!-- generated: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Schema = Mapping[str, Any]


def rendered(page: Path) -> str:
    """Return a page with its tables as they should be."""

    def fill(block: re.Match[str]) -> str:
        name, *arguments = block[2].split()
        return f"{block[1]}{TABLES[name](*arguments)}{block[3]}"

    return _BLOCK.sub(fill, page.read_text(encoding="utf-8"))


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table. A column in which nothing stands is left out."""
    filled = [number for number in range(len(head)) if any(row[number] for row in rows)]
    lines = [[head[number] for number in filled], ["---"] * len(filled), *([row[n] for n in filled] for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# Fixture files

_DEFINED = schema()["$defs"]
_SECTIONS: Schema = _DEFINED["FixtureFile"]["properties"]
_WRONG = {"string": 5, "integer": "x", "number": "x", "boolean": "x", "object": 5, "array": 5}
"""What is no value of a type."""


def _resolved(field: Schema) -> Schema:
    """Return what a field of a fixture file is, where that stands elsewhere."""
    if "$ref" in field:
        return {**_DEFINED[field["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in field.items() if k != "$ref"}}
    return field


def _options(field: Schema) -> list[Schema]:
    return [_resolved(option) for option in field.get("anyOf", [field])]


def _holds(field: Schema) -> str:
    """Return what may stand in a field."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_holds(option) for option in _options(field) if option.get("type") != "null"))
    if "enum" in field:
        shown = [f"`{value}`" if value != "" else "nothing" for value in field["enum"]]
        return ", ".join(shown) if len(shown) <= 8 else f"one of {len(shown)}, see [Bad days](bad-days.md)"
    kind = field.get("type", "anything")
    low, high = field.get("minimum"), field.get("maximum")
    if "prefixItems" in field:
        return f"a list of {len(field['prefixItems'])}"
    if kind == "array":
        return f"a list of {_holds(_resolved(field.get('items', {})))}"
    if kind == "string" and "maxLength" in field:
        return f"a text of {field['minLength']} to {field['maxLength']:,} characters"
    if kind in ("integer", "number") and low is not None:
        number = "a whole number" if kind == "integer" else "a number"
        return f"{number} from {low}" + (f" to {high:,}" if high is not None and high < 2**62 else " on")
    names = {"integer": "a whole number", "string": "a text", "boolean": "true or false", "object": "a mapping"}
    return names.get(kind, kind if kind == "anything" else f"a {kind}")


def _fields(field: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Yield all fields inside of one, at any depth, each with its path: `{name}` for a key of one's own."""
    for option in _options(field):
        if option.get("title") in ("ImageEntry", "JobEntry", "ClusterEntry", "AppEntry", "Added", "Removed") and path:
            continue
        if option.get("items"):
            yield from _fields(_resolved(option["items"]), (*path[:-1], f"{path[-1]}[]") if path else ())
        for name, inner in option.get("properties", {}).items():
            yield (*path, name), inner
            yield from _fields(_resolved(inner), (*path, name))
        more = option.get("additionalProperties")
        if isinstance(more, Mapping) and more.get("type") == "object":
            yield from _fields(more, (*path, "{name}"))


def _error(section: str, path: tuple[str, ...], field: Schema) -> str:
    """Return the error that one gets for a value of a wrong type in a field."""
    kinds = {option.get("type") for option in _options(field)} | ({"string"} if "enum" in field else set())
    wrong = next((value for kind, value in _WRONG.items() if kind not in kinds and kinds - {None}), None)
    wrong = next((_WRONG[kind] for kind in _WRONG if kinds == {kind}), True if wrong is not None else None)
    if wrong is None:
        return ""
    data: Any = wrong
    for name in reversed(path):
        data = {"name" if name == "{name}" else name.removesuffix("[]"): [data] if name.endswith("[]") else data}
    entry = {"Id": "img-a", **data} if section == "images" else data
    try:
        load_text("world.json", json.dumps({section: entry if section == "quotas" else [entry]}), is_json=True)
    except FixtureError as error:
        last = path[-1].removesuffix("[]")
        said = [p.message for p in error.problems if p.where.split(".")[-1].split("[")[0] == last]
        return said[0].partition(";")[0] if said else ""
    return ""


def fields(section: str) -> str:
    """Return the table of all fields of a section."""
    record = next((resource.record for resource in RESOURCES if resource.name == section), None)
    of_section = _resolved(_SECTIONS[section])
    rows = []
    for path, field in _fields(of_section):
        named = record is not None and len(path) == 1 and path[0] != "repeat"
        default = field.get("default")
        rows.append(
            [
                f"`{'.'.join(path)}`",
                f"`{python_name(path[0])}`" if named else "",
                _holds(_resolved(field)),
                "" if default in (None, "", {}, []) else f"`{json.dumps(default, ensure_ascii=False)}`",
                _resolved(field).get("description", "")
                if "properties" not in _resolved(field)
                else field.get("description", ""),
                _error(section, path, _resolved(field)),
            ]
        )
    return table(["field", "in Python", "holds", "default", "meaning", "the error for another type"], rows)


def sections() -> str:
    """Return the table of the sections of a file."""
    about = {name: _resolved(field).get("description", "") for name, field in _SECTIONS.items()}
    for name, field in _SECTIONS.items():
        about[name] = about[name] or _resolved(field.get("items", {})).get("description", "")
    return table(["section", "holds"], [[f"`{name}`", text] for name, text in about.items()])


# Bad days


def codes() -> str:
    """Return the table of all codes that `fail` knows, and the names of the parameters that have codes of their own."""
    rows, parameters = [], []
    for code, (status, message) in DOCUMENTED.items():
        of_parameter = re.fullmatch(r"(?:Invalid|Missing)([\w.]+)", code)
        if of_parameter and message in (DOCUMENTED[f"{code[:7]}Name"][1].replace("Name", of_parameter[1])):
            parameters.append(of_parameter[1])
        else:
            rows.append([f"`{code}`", str(status), message])
    for kind in ("Invalid", "Missing"):
        status, message = DOCUMENTED[f"{kind}Name"]
        rows.append([f"`{kind}P`", str(status), message.replace("Name", "P")])
    names = ", ".join(f"`{name}`" for name in sorted(set(parameters)))
    return f"{table(['code', 'status', 'message, and in braces its arguments'], rows)}\n`P` is one of {names}.\n"


def scenarios() -> str:
    """Return the table of the scenarios of the package."""
    rows = [[f"`{scenario.name}`", scenario.about] for scenario in all_scenarios()]
    return table(["scenario", "what happens"], rows)


# What is faked


def _address(operation: Operation) -> str:
    query = "&".join(operation.query)
    return f"`{operation.method} {operation.path}{f'?{query}' if query else ''}`"


def operations() -> str:
    """Return the table of all operations, with the number of variants that each is tried with."""
    counts = _variants()
    rows = [[name, _address(operation), f"{counts[name]:,}"] for name, operation in OPERATIONS.items()]
    return table(["operation", "request", "variants"], rows)


def groups() -> str:
    """Return the table of the resources, with their operations."""
    counts = _variants()
    rows = [
        [
            room.name,
            ", ".join(f"{operation.name} {counts[operation.name]:,}" for operation in room.operations),
            f"{sum(counts[operation.name] for operation in room.operations):,}",
        ]
        for room in ROOMS
    ]
    rows.append(["**all**", f"{len(OPERATIONS)} operations", f"{sum(counts.values()):,}"])
    return table(["", "operations, each with its variants", "in all"], rows)


def _variants() -> dict[str, int]:
    sys.path.insert(0, str(ROOT / "tests"))
    import conformance

    return conformance.counts()


def choices() -> str:
    """Return the list of all choices that the docstrings of the package mark, by module."""
    lines = []
    for path in sorted(PACKAGE.rglob("*.py")):
        found = [_marked(text) for text in _strings(path) if "[choice]" in text]
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        lines += [f"- `{module}`: {sentence}\n" for sentences in found for sentence in sentences]
    return "".join(dict.fromkeys(lines))


def _strings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a module, of what is in it, and those behind assignments, each with what it is of."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for parent in ast.walk(tree):
        body = getattr(parent, "body", [])
        name = getattr(parent, "name", "")
        before = ""
        for statement in body if isinstance(body, list) else []:
            match statement:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    of = before or name
                    yield f"{of}\0{inspect.cleandoc(text)}"
                case ast.Assign(targets=[ast.Name(id=before)]) | ast.AnnAssign(target=ast.Name(id=before)):
                    continue
            before = ""


def _marked(text: str) -> list[str]:
    """Return the sentences of a docstring that are marked as a choice."""
    name, _, doc = text.partition("\0")
    flat = " ".join(doc.split())
    pieces = re.split(r"(?<=\[choice\])\.?\s+|(?<=\[doc\])\s+|(?<=\[sdk\])\s+|(?<=[.:])\s+(?=[A-Z`])", flat)
    said = []
    for number, piece in enumerate(pieces):
        if "[choice]" not in piece:
            continue
        sentence = re.sub(r"\s*\[choice\]", "", piece).strip(" ;.")
        if not sentence and number:
            sentence = pieces[number - 1].strip(" .")
        said.append(f"`{name.strip('_')}`: {sentence}." if name else f"{sentence}.")
    return said


# The API

_COLLECTION = ("add", "remove", "discard", "put", "reset")
_BY_HAND = ("advance", "finish", "fail", "stop")
_OFFERED = {
    "Calls": ("of", "wait", "clear"),
    "Collection": _COLLECTION,
    "Clusters": (*_COLLECTION, *_BY_HAND),
    "Jobs": (*_COLLECTION, *_BY_HAND),
}
"""What these have for tests. What else is public in them is for the rooms of the package."""


def _sentence(doc: str) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join(inspect.cleandoc(doc).split("\n\n")[0].split())


def api() -> str:
    """Return all public names: what each is, what it has, and for records how the service spells that."""
    return "\n".join(_entry(name) for name in fakebatch.__all__)


def _entry(name: str) -> str:
    thing = getattr(fakebatch, name)
    doc = inspect.cleandoc(thing.__doc__ or "")
    if not inspect.isclass(thing):
        return f"## `{name}{inspect.signature(thing)}`\n\n{doc}\n"
    rows = list(_attributes(thing))
    attributes = table(["", "the service's name", "meaning"], rows)
    return f"## `{name}`\n\n{doc}\n" + (f"\n{attributes}" if rows else "")


def _attributes(thing: Any) -> Iterator[list[str]]:
    """Yield the public attributes of a class: fields, properties, methods."""
    seen: set[str] = set()
    docs = {name: doc for base in reversed(thing.__mro__) for name, doc in _field_docs(base).items()}
    names: Mapping[str, str] = {}
    if issubclass(thing, Described):
        names = {python_name(name): name for name in thing.fields()}
        docs |= {python_name(name): rule.about for name, rule in thing.fields().items() if rule.about}
    elif hasattr(thing, "__struct_encode_fields__"):
        pairs = zip(thing.__struct_fields__, thing.__struct_encode_fields__, strict=True)
        names = {ours: theirs for ours, theirs in pairs if ours != theirs}
    own = () if issubclass(thing, Described) else getattr(thing, "__struct_fields__", ())
    order = [*names, *own, *docs, *dir(thing)]
    for name in order:
        is_machinery = (
            issubclass(thing, Described) and name not in names and not isinstance(vars(thing).get(name), property)
        )
        if name.startswith("_") or name in seen or is_machinery or name not in _OFFERED.get(thing.__name__, (name,)):
            continue
        seen.add(name)
        value = inspect.getattr_static(thing, name, None)
        is_method = inspect.isroutine(value) or isinstance(value, classmethod | staticmethod)
        about = _sentence(getattr(value, "__doc__", "") or "") if isinstance(value, property) or is_method else ""
        about = about or docs.get(name, "")
        home = next((base for base in thing.__mro__ if name in vars(base)), thing)
        if not home.__module__.startswith("fakebatch") or (not about and name not in names and name not in own):
            continue
        yield [f"`{name}{_signature(value) if is_method else ''}`", f"`{names[name]}`" if name in names else "", about]


def _signature(method: Any) -> str:
    function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
    shown = [p.replace(annotation=p.empty) for p in parameters if p.kind is not p.POSITIONAL_ONLY or p.name]
    return str(inspect.Signature(shown)).replace("NOT_GIVEN", "...")


def _field_docs(thing: type) -> dict[str, str]:
    """Return the texts that stand behind the fields of a class."""
    if not thing.__module__.startswith("fakebatch"):
        return {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    docs: dict[str, str] = {}
    before = ""
    for statement in tree.body[0].body:  # type: ignore[attr-defined]  # it is a class
        match statement:
            case ast.Expr(value=ast.Constant(value=str() as text)) if before:
                docs[before] = _sentence(text)
            case ast.AnnAssign(target=ast.Name(id=before)):
                continue
        before = ""
    return docs


def file(name: str) -> str:
    """Return an example as it stands in its file."""
    language = {"sh": "sh", "mjs": "javascript"}[name.rpartition(".")[2]]
    text = (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8")
    return f"```{language}\n{text}```\n"


TABLES: dict[str, Callable[..., str]] = {
    "fields": fields,
    "sections": sections,
    "codes": codes,
    "scenarios": scenarios,
    "operations": operations,
    "groups": groups,
    "choices": choices,
    "api": api,
    "file": file,
}

if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rendered(page), encoding="utf-8")
