"""The README and the guide: all that they show is run, and all that the package knows is compared."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from checkout import FIXTURES, ROOT
from command_line import serving

from fakebatch import FixtureError, __all__
from fakebatch.service.baseline import load

sys.path.insert(0, str(ROOT / "docs"))
import tables

README = ROOT / "README.md"
PAGES = {page.name: page for page in tables.PAGES}
GUIDE = PAGES["other-languages.md"]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w./-]+\.\w+)\n")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page shows: those of its examples that begin with a name."""
    return {named[1]: text for _, text in _BLOCK.findall(text_of(page)) if (named := _NAMED.match(text))}


def scripts_of(page: Path) -> list[str]:
    """Return what a page shows of Python that is no file."""
    return [text for language, text in _BLOCK.findall(text_of(page)) if language == "python" and not _NAMED.match(text)]


def commands_of(page: Path) -> list[str]:
    return re.findall(r"^    (\S.*)$", text_of(page), re.MULTILINE)


def write(page: Path, folder: Path) -> Path:
    """Write what a page shows, as somebody would who follows it."""
    for name, text in files_of(page).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(*command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


WITH_TESTS = [name for name, page in PAGES.items() if any(file.startswith("test_") for file in files_of(page))]


@pytest.mark.parametrize("name", WITH_TESTS)
def test_its_tests_pass(name: str, tmp_path: Path) -> None:
    write(PAGES[name], tmp_path)
    warnings = ("-W", "error", "-W", "ignore::DeprecationWarning:batchcompute.utils.functions")
    result = run(sys.executable, "-m", "pytest", *warnings, "-n", "0", "--timeout", "100", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert not re.search(r"skipped|warning", result.stdout.splitlines()[-1]), result.stdout


def test_the_pages_that_show_tests_are_these() -> None:
    assert set(WITH_TESTS) == {"README.md", "bad-days.md", "writing-tests.md"}


@pytest.mark.parametrize("script", [script for page in PAGES.values() for script in scripts_of(page)])
def test_its_scripts_run(script: str, tmp_path: Path) -> None:
    result = run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "['img-a', 'img-b', 'img-c']" in result.stdout


@pytest.mark.parametrize("name", PAGES)
def test_its_tables_are_what_the_package_says(name: str) -> None:
    shown = text_of(PAGES[name])
    assert tables.rendered(PAGES[name]) == shown, "run: python docs/tables.py"
    assert not re.findall(r"<!-- generated: .* -->\n<!-- end -->", shown)  # nothing that is empty


@pytest.mark.parametrize("name", PAGES)
def test_its_links_lead_somewhere(name: str) -> None:
    page = PAGES[name]
    for link in _LINK.findall(text_of(page)):
        path, _, title = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if title:
            titles = re.findall(r"^#+ (.*)$", text_of(target), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", found.lower()).replace(" ", "-") for found in titles}
            assert title in anchors, (link, anchors)


def test_the_fixture_files_of_the_guide_load(tmp_path: Path) -> None:
    described = load(write(PAGES["fixture-files.md"], tmp_path) / "world.yaml")
    assert described.expect == {"images": len([image for image in described.records["images"] if image.type == "Self"])}
    wild = load(write(PAGES["bad-days.md"], tmp_path) / "wild.yaml")
    assert (len(wild.progress), len(wild.script)) == (7, 6)


def test_the_guide_shows_the_message_of_a_bad_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGES["fixture-files.md"]
    path = write(page, tmp_path) / "world.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Platform: Linux ", "Platform: linux "), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FixtureError) as caught:
        load("world.yaml")
    assert str(caught.value) in commands_of(page)


def test_what_serve_prints_is_what_the_guide_shows() -> None:
    commands = commands_of(GUIDE)
    assert "fakebatch serve fixtures/paging.yaml --port 0" in commands
    with serving(FIXTURES / "paging.yaml", hints=0) as (url, process):
        assert process.stdout
        printed = [f"Serving 120 images at {url} (end with Ctrl-C)"]
        printed += [process.stdout.readline().rstrip("\n") for _ in range(3)]
        urllib.request.urlopen(f"{url}/images?Marker&MaxItemCount=7&Type").close()
        printed.append(process.stdout.readline().rstrip("\n"))
    start = commands.index(next(command for command in commands if command.startswith("Serving ")))
    numbers = re.compile(r"\d\d:\d\d:\d\d|\d+\.\d ms|\b\d{5}\b")
    shown = [numbers.sub("#", command) for command in commands[start : start + 5]]
    assert shown == [numbers.sub("#", line) for line in printed]


def test_its_two_commands_are_what_the_gate_runs() -> None:
    commands = [command.split("#")[0].strip() for command in commands_of(README)[:2]]
    assert commands == ["pip install . && fakebatch serve", "pip install tox && tox"]
    assert commands[1] in (ROOT / ".ci" / "run").read_text()


def test_the_readme_is_short_and_its_figures_are_those_of_the_table() -> None:
    assert len(text_of(README).splitlines()) <= 130
    section = text_of(README).partition("## Speed")[2].partition("[All figures]")[0]
    figures = re.findall(r"\| ([\d,.]+) (?:ms|µs|requests/s) \|.*? ([\d,.]+) ", section)
    assert len(figures) == 3
    measured = {
        f"{float(number.replace(',', '')):.4g}" for number in re.findall(r"[\d,.]*\d", text_of(PAGES["speed.md"]))
    }
    rounded = {f"{float(number):.3g}" for number in measured}
    for pair in figures:
        for figure in pair:
            number = float(figure.replace(",", ""))
            assert f"{number:.4g}" in measured or f"{number:.3g}" in rounded, figure


def test_every_public_name_is_explained() -> None:
    assert [name for name in __all__ if f"\n## `{name}" not in text_of(PAGES["api.md"])] == []
