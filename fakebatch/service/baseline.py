"""From the sections of fixture files to the baseline of a world.

The one importer of `fixture_files`, and imported only when there are files to read. A good file takes the short way:
parsed, converted by msgspec, expanded. Only one that is refused is gone over by its schema, to say everything that is
wrong with it. Knows nothing of any resource.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from .. import scenarios
from ..errors import FixtureError, Problem
from ..fixture_files.problems import Finding, Place, all_problems, check, refused
from ..fixture_files.reading import Entries, Expanded, Files, Kind
from ..fixture_files.yaml_text import Document, DocumentError, Flaw, Keys, Position
from .accounts import Account
from .described import located
from .description import Baseline
from .operation import Resource
from .progress import LENGTHS, Rule, RuleBuilder, parse_duration
from .quotas import QUOTAS_SECTION
from .registry import RESOURCES
from .rules import BrokenRuleError
from .schema import ENTRIES, FREE_PREFIX, ITEMS, SCHEMA_KEY, FixtureFile
from .script import EFFECTS, EFFECTS_LISTED, Step, StepBuilder

Content = TypeVar("Content")


def load(*paths: str | os.PathLike[str], given: Mapping[Path, bytes] | None = None) -> Baseline:
    """Load fixture files, and those that they include, as one world. A file that is named twice counts once.

    `fakebatch:throttled` is a scenario of the package. `given` is what stands in files that are not to be read, by
    their paths.

    Raises FixtureError, listing everything that is wrong with all of them.
    """
    loading = _Loading(given or {})
    for path in paths:
        with scenarios.as_path(str(path)) if scenarios.is_name(str(path)) else nullcontext(Path(path)) as file:
            loading.files.read(file)
    return loading.baseline()


def load_text(name: str, text: str, *, is_json: bool = False) -> Baseline:
    """Load a world from a text, which includes no files. `name` is what places in it are told by.

    Raises FixtureError, listing everything that is wrong with it.
    """
    loading = _Loading({})
    loading.take(_parsed(name, text, is_json=is_json))
    return loading.baseline()


def load_entry(
    section: str, name: str, text: str, *, is_json: bool = False, defaults: Mapping[str, Any] | None = None
) -> Sequence[Any]:
    """Load one entry of a section from a text: a step, a rule of progress, or as many records as it amounts to.

    `defaults` are what it says if it does not say otherwise. Records that come without an Id still have none. Raises
    FixtureError, listing everything that is wrong with it.
    """
    loading = _Loading({})
    loading.take(_Entry(section, _parsed(name, text, is_json=is_json), defaults or {}))
    if loading.problems:
        start = f"{section}[0]"
        raise FixtureError(
            problem._replace(where=problem.where.removeprefix(start).lstrip(".")) for problem in loading.problems
        )
    return loading.made(section)


def load_struct(declared: type[Content], name: str, text: str, *, is_json: bool = False) -> Content:
    """Load what is declared from a text. Raises FixtureError, listing everything that is wrong with it."""
    document = _parsed(name, text, is_json=is_json)
    data = {} if document.data is None else document.data
    try:
        content = msgspec.convert(data, declared)
    except msgspec.ValidationError as error:
        found = all_problems(document, check(Place(document), data, declared))
        raise FixtureError(found or [refused(Place(document), error)]) from None
    if document.flawed:
        raise FixtureError(all_problems(document, ()))
    return content


def _parsed(name: str, text: str, *, is_json: bool) -> Document:
    """Parse a text. What begins like JSON, and is none, is YAML."""
    try:
        if not is_json and text.lstrip().startswith("{"):
            with suppress(DocumentError):
                return Document(name, text, is_json=True)
        return Document(name, text, is_json=is_json)
    except DocumentError as error:
        raise FixtureError([Problem(name, *error.position, "", error.message)]) from None


class _Entry(Document):
    """A document that is one entry of a section, as it would be in a file with nothing else."""

    def __init__(self, section: str, document: Document, defaults: Mapping[str, Any]) -> None:
        self._document = document
        self._before = (section, 0)
        self.name, self.flawed = document.name, document.flawed
        data = document.data
        self.data = {section: [{**defaults, **data} if isinstance(data, dict) else data]}

    def find(self, keys: Keys, *, key: bool = False) -> Position:
        """Return where a place in the data stands."""
        return self._document.find(keys[2:], key=key)

    def written(self, keys: Keys) -> str:
        """Return a scalar as it stands in the text."""
        return self._document.written(keys[2:])

    def flaws(self) -> Iterator[Flaw]:
        """Yield what is wrong with the text's values."""
        for flaw in self._document.flaws():
            yield flaw._replace(keys=(*self._before, *flaw.keys))


class _Sections(NamedTuple):
    """What is sound of a file."""

    data: Mapping[str, Any]
    items: Mapping[str, Iterable[tuple[int, Any]]]
    """The converted items of each section that is a list, with their indices."""
    expect: Any = None


class _Loading:
    """The state of one `load`: what has been read so far, and what was wrong with it."""

    def __init__(self, given: Mapping[Path, bytes]) -> None:
        self.files = Files(self._begin, self._finish, given)
        self.problems = self.files.problems
        self._entries = Entries(self.problems)
        self._made: dict[str, list[Expanded[Any]]] = {resource.name: [] for resource in RESOURCES}
        self._accounts: list[tuple[Place, Account]] = []
        self._script: list[Step] = []
        self._progress: list[Rule] = []
        self._quotas: dict[str, Any] = {}
        self._expect: Any = None

    def take(self, document: Document) -> None:
        """Take a document that includes no files: it comes from somebody who has none here."""
        sections = self._convert(document)
        for index, _ in sections.items["include"]:
            place = Place(document, ("include", index))
            self.problems.append(place.problem("nothing can be included here; write what is in that file instead"))
        self._finish(document, sections)

    def made(self, section: str) -> Sequence[Any]:
        """Return what the entries of a section amount to."""
        made: dict[str, Sequence[Any]] = {"script": self._script, "progress": self._progress}
        return made.get(section) or [record for made in self._made[section] for record in made.records]

    def _begin(self, document: Document) -> tuple[_Sections, Iterable[tuple[int, str]]]:
        sections = self._convert(document)
        return sections, sections.items["include"]

    def _convert(self, document: Document) -> _Sections:
        data = document.data
        if isinstance(data, dict):
            free = [key for key in data if isinstance(key, str) and (key.startswith(FREE_PREFIX) or key == SCHEMA_KEY)]
            data = {key: value for key, value in data.items() if key not in free} if free else data
        try:
            content = msgspec.convert(data, FixtureFile)
        except msgspec.ValidationError as error:
            found = all_problems(document, _findings(document, data))
            self.problems += found or [refused(Place(document), error)]
        else:
            if not document.flawed:
                items = {name: enumerate(getattr(content, name)) for name in ITEMS}
                return _Sections(data, items, content.expect)
            self.problems += all_problems(document, ())
        # What is as declared is gone on with, to find what else is wrong.
        data = data if isinstance(data, dict) else {}
        return _Sections(data, {name: _sound_items(data.get(name), declared) for name, declared in ITEMS.items()})

    def _finish(self, document: Document, sections: _Sections) -> None:
        for resource in RESOURCES:
            entries = sections.data.get(resource.name, ())
            items = ((index, entries[index]) for index, _ in sections.items[resource.name])
            self._made[resource.name].append(self._expand(Place(document, (resource.name,)), items, resource))
        for index, account in sections.items["accounts"]:
            self._accounts.append((Place(document, ("accounts", index)), account))
        for index, _ in sections.items["script"]:
            self._take_step(Place(document, ("script", index)), sections.data["script"][index])
        for index, _ in sections.items["progress"]:
            self._take_rule(Place(document, ("progress", index)), sections.data["progress"][index])
        self._take_quotas(Place(document, ("quotas",)), sections.data.get("quotas"))
        if sections.expect is not None:
            self._expect = sections.expect

    def _expand(self, place: Place, entries: Iterable[tuple[int, Any]], resource: Resource[Any]) -> Expanded[Any]:
        kind = Kind(resource.of, resource.key, resource.numbered is None, resource.noun, ENTRIES[resource.name])
        return self._entries.expand(place, entries, kind)

    def _take_rule(self, place: Place, written: Mapping[str, Any]) -> None:
        wrong: list[Problem] = []
        rule = {key: value for key, value in written.items() if key != "fail"}
        for key in LENGTHS:
            try:
                parse_duration(rule.get(key, 0))
            except ValueError as error:
                wrong.append(place.inside(key).problem(str(error)))
                del rule[key]
        try:
            builder = RuleBuilder(**rule, origin=str(place).rpartition(":")[0])
        except (TypeError, ValueError) as error:
            self.problems += [*wrong, place.problem(str(error))]
            return
        fails = written.get("fail", [])
        several = isinstance(fails, list)
        for index, fail in enumerate(fails if several else [fails]):
            try:
                builder.fail(**fail)
            except (TypeError, ValueError) as error:
                inside = place.inside("fail", index) if several else place.inside("fail")
                wrong.append(inside.problem(str(error)))
        self.problems += wrong
        self._progress.append(builder.rule)

    def _take_quotas(self, place: Place, written: Mapping[str, Any] | None) -> None:
        if not isinstance(written, dict) or any(problem.where.startswith("quotas") for problem in self.problems):
            return  # it was not given, or is told of already
        try:
            for name, field in QUOTAS_SECTION.items():
                field.check(written.get(name), (name,))
        except BrokenRuleError as error:
            self.problems.append(refused(place, located(error)))
        self._quotas |= written

    def _take_step(self, place: Place, written: Mapping[str, Any]) -> None:
        wrong: list[Problem] = []
        builder = _builder(place, written, wrong)
        effects = [effect for effect in EFFECTS if effect in written]
        for effect in effects:
            try:
                if effect in ("add", "remove"):
                    for resource, inside, items in _by_resource(place.inside(effect), written[effect]):
                        self._change(builder, effect, resource, inside, items)
                else:
                    _give(builder, effect, written[effect])
            except (TypeError, ValueError) as error:
                wrong.append(place.inside(effect).problem(str(error)))
        if not effects:
            wrong.append(place.problem(f"the step does nothing; give it {EFFECTS_LISTED}"))
        self.problems += wrong
        self._script.append(builder.step)

    def _change(
        self, builder: StepBuilder, effect: str, resource: Resource[Any], place: Place, items: Sequence[Any]
    ) -> None:
        if effect == "remove":
            builder.remove(*items, resource=resource.name)
        else:
            builder.add(*self._expand(place, enumerate(items), resource).records)

    def baseline(self) -> Baseline:
        """Return the whole, or raise everything that was wrong."""
        records = {resource.name: self._in_order(resource) for resource in RESOURCES}
        self._report_duplicate_accounts()
        for resource in RESOURCES:
            self._report_orphans(resource)
        if self.problems:
            raise FixtureError(self.problems)
        accounts = tuple(account for _, account in self._accounts)
        return Baseline(
            records,
            accounts,
            tuple(self._progress),
            tuple(self._script),
            self._quotas,
            self._expect,
            tuple(self.files.seen),
        )

    def _in_order(self, resource: Resource[Any]) -> tuple[msgspec.Struct, ...]:
        records = [record for made in self._made[resource.name] for record in made.records]
        records = _with_keys(resource, records)
        keys = [resource.key_of(record) for record in records]
        if len(set(keys)) < len(keys):
            self._report_duplicates(resource)
        pairs = sorted(zip(keys, records, strict=True), key=itemgetter(0))
        return tuple(record for _, record in pairs)

    def _entries_of(self, resource: Resource[Any]) -> Iterator[tuple[Place, list[Any]]]:
        for expanded in self._made[resource.name]:
            yield from expanded.by_entry()

    def _report_duplicates(self, resource: Resource[Any]) -> None:
        first: dict[str, Place] = {}
        for place, records in self._entries_of(resource):
            for key in filter(None, map(resource.key_of, records)):
                if first.setdefault(key, place) is not place:
                    self._report_duplicate(resource.key, key, place, first[key])
                    break  # once for an entry that is repeated

    def _report_duplicate_accounts(self) -> None:
        first: dict[str, Place] = {}
        for place, account in self._accounts:
            key = account.access_key_id
            if first.setdefault(key, place) is not place:
                self._report_duplicate("AccessKeyId", key, place, first[key])

    def _report_duplicate(self, key: str, value: str, place: Place, first: Place) -> None:
        elsewhere = f"{first.inside(key)}: {first.where}"
        message = f"{value!r} is there already, at {elsewhere}; each must be unique"
        self.problems.append(place.inside(key).problem(message))

    def _report_orphans(self, resource: Resource[Any]) -> None:
        """Report records that nobody could see: they have the default owner, and no account is that owner."""
        owners = {account.owner_id for _, account in self._accounts}
        for place, records in self._entries_of(resource) if owners else ():
            owner = resource.owner_of(records[0]) if records else None
            if owner is not None and owner not in owners and owner not in place.data.values():
                allowed = ", ".join(map(str, sorted(owners)))
                message = (
                    f"no account has the default OwnerId {owner}, so nobody would see it; give it one of {allowed}"
                )
                self.problems.append(place.problem(message))


def _with_keys(resource: Resource[Any], records: list[Any]) -> list[Any]:
    """Return records with Ids for those that have none, in the order of the files."""
    if resource.numbered is None:
        return records
    taken = set(map(resource.key_of, records))
    number = 1
    complete = []
    for written in records:
        record, number = resource.with_key(written, taken.__contains__, number)
        complete.append(record)
    return complete


def _findings(document: Document, data: Any) -> Iterator[Finding]:
    """Yield everything that is not as declared: of a long list, only the items that msgspec refuses are gone over."""
    outline = data
    if isinstance(data, dict):
        outline = {name: [] if name in ITEMS and isinstance(value, list) else value for name, value in data.items()}
    yield from check(Place(document), outline, FixtureFile)
    for name, declared in ITEMS.items() if isinstance(data, dict) else ():
        items = data.get(name)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            try:
                msgspec.convert(item, declared)
            except msgspec.ValidationError as error:
                place = Place(document, (name, index))
                found = list(check(place, item, declared))
                yield from found or [Finding.of(refused(place, error), place)]


def _sound_items(data: Any, declared: Any) -> Iterator[tuple[int, Any]]:
    for index, item in enumerate(data if isinstance(data, list) else ()):
        try:
            yield index, msgspec.convert(item, declared)
        except msgspec.ValidationError:
            continue


def _builder(place: Place, written: Mapping[str, Any], wrong: list[Problem]) -> StepBuilder:
    """Return the step in the making with the trigger of an entry, without those parts that are wrong."""
    trigger: dict[str, Any] = {"origin": str(place).rpartition(":")[0]}
    names = {"on": "operation", "calls": "calls", "account": "account", "host": "host"}
    parts = [(place.inside(key), {name: written[key]}) for key, name in names.items() if key in written]
    for name, value in written.get("where", {}).items():
        parts.append((place.inside("where", name), {"where": {name: value}}))
    where: dict[str, Any] = {}
    for inside, part in parts:
        try:
            StepBuilder(**trigger | part)
        except (TypeError, ValueError) as error:
            wrong.append(inside.problem(str(error)))
        else:
            where |= part.pop("where", {})
            trigger |= part
    return StepBuilder(**trigger, where=where)


def _give(builder: StepBuilder, effect: str, value: Any) -> None:
    """Give a step one effect, as the file says it. Raises TypeError and ValueError, as the effect does."""
    if effect == "fail" and isinstance(value, dict):
        if "code" not in value:
            raise ValueError("which error? add code")
        builder.fail(**value)
    elif effect == "reply":
        raw = {"raw": value["raw"].encode()} if "raw" in value else {}
        builder.reply(**value | raw)
    else:
        getattr(builder, effect)(value)


def _by_resource(place: Place, written: Any) -> Iterator[tuple[Resource[Any], Place, Sequence[Any]]]:
    """Yield the resources that an `add` or `remove` names, and what it says of each: a list means the first."""
    if isinstance(written, list):
        yield RESOURCES[0], place, written
        return
    for resource in RESOURCES:
        yield resource, place.inside(resource.name), written.get(resource.name, ())
