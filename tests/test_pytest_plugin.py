"""The pytest plugin, in test suites of its own: the fixtures, the markers, the setting, and what reports show."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import job, task
from checkout import ROOT

from fakebatch import FakeBatch, FixtureError, MakeFakeBatch

RunPytest = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> RunPytest:
    """Run a suite in a process of its own, without the settings of this one."""

    def run(source: str, *arguments: str, **files: str) -> pytest.RunResult:
        for name, text in files.items():
            pytester.path.joinpath(f"{name}.yaml").write_text(text)
        pytester.makepyfile(f"import pytest\nfrom fakebatch import Image\n{source}")
        return pytester.runpytest_subprocess(*arguments)

    return run


def test_the_fixture_is_a_running_fake_with_the_default_catalogue(run: RunPytest) -> None:
    source = """
import json, urllib.request

def test_images(fakebatch):
    with urllib.request.urlopen(fakebatch.url + "/images") as response:
        assert [item["Id"] for item in json.load(response)["Items"]] == ["img-23jkhds"]
"""
    run(source).assert_outcomes(passed=1)


def test_its_state_is_reset_before_each_test(run: RunPytest) -> None:
    source = """
import urllib.request

@pytest.mark.parametrize("n", range(5))
def test_images(fakebatch, n):
    assert len(fakebatch.images) == 4
    assert len(fakebatch.calls) == 0
    assert fakebatch.unused_steps == []
    fakebatch.images.remove("img-centos")
    fakebatch.on("ListImages").delay(0)
    urllib.request.urlopen(fakebatch.url + "/images").close()
    assert len(fakebatch.calls) == 1
"""
    run(source).assert_outcomes(passed=5)


def test_one_server_answers_for_all_tests_of_a_process(run: RunPytest) -> None:
    source = """
urls = set()

def test_one(fakebatch):
    urls.add(fakebatch.url)

@pytest.mark.fakebatch(images=[Image(id="a")])
def test_other_world(fakebatch):
    urls.add(fakebatch.url)

def test_last(fakebatch):
    urls.add(fakebatch.url)
    assert len(urls) == 1
"""
    run(source).assert_outcomes(passed=3)


def test_the_marker_gives_a_test_its_world(run: RunPytest) -> None:
    source = """
def ids(fake): return [image.id for image in fake.images]

@pytest.mark.fakebatch("one.yaml")
def test_file(fakebatch): assert ids(fakebatch) == ["one"]

@pytest.mark.fakebatch("one.yaml", "two.yaml", images=[Image(id="three")])
def test_all(fakebatch): assert ids(fakebatch) == ["one", "three", "two"]

@pytest.mark.fakebatch(images=[Image(id="three")])
def test_images(fakebatch): assert ids(fakebatch) == ["three"]

@pytest.mark.fakebatch(images=[])
def test_empty(fakebatch): assert ids(fakebatch) == []

@pytest.mark.fakebatch("one.yaml")
class TestClass:
    def test_of_the_class(self, fakebatch): assert ids(fakebatch) == ["one"]

    @pytest.mark.fakebatch("two.yaml")
    def test_of_its_own(self, fakebatch): assert ids(fakebatch) == ["two"]

@pytest.mark.fakebatch
def test_bare(fakebatch): assert len(ids(fakebatch)) == 4
"""
    run(source, one="images: [{Id: one}]", two="images: [{Id: two}]").assert_outcomes(passed=7)


def test_paths_are_relative_to_the_test_file(run: RunPytest, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("deep")
    (folder / "one.yaml").write_text("images: [{Id: one}]")
    (folder / "test_deep.py").write_text(
        "import pytest\n"
        "@pytest.mark.fakebatch('one.yaml')\n"
        "def test_marker(fakebatch): assert 'one' in fakebatch.images\n"
        "def test_made(make_fakebatch): assert 'one' in make_fakebatch('one.yaml').images\n"
    )
    run("").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "setting",
    ["worlds/one.yaml two.yaml", "\n  worlds/one.yaml\n  two.yaml", "worlds t*.yaml", "fakebatch:job-stuck **/*.yaml"],
)
def test_the_setting_is_relative_to_the_root_folder(run: RunPytest, pytester: pytest.Pytester, setting: str) -> None:
    pytester.makeini(f"[pytest]\nfakebatch_fixtures = {setting}")
    pytester.mkdir("worlds").joinpath("one.yaml").write_text("images: [{Id: one}]")
    source = """
from fakebatch import Account

def test_setting(fakebatch): assert len(fakebatch.images) == 2

@pytest.mark.fakebatch("two.yaml")
def test_files_take_its_place(fakebatch): assert len(fakebatch.images) == 1

@pytest.mark.fakebatch(jobs=[])
def test_records_take_its_place(fakebatch): assert len(fakebatch.images) == 0

@pytest.mark.fakebatch(accounts=[Account("an-id", "a-secret")], control=True, strict=True)
def test_options_add_to_it(fakebatch):
    assert len(fakebatch.images) == 2 and len(fakebatch.world.accounts) == 1

@pytest.mark.fakebatch_scenarios("two.yaml")
def test_scenarios_take_its_place(fakebatch): assert len(fakebatch.images) == 1
"""
    run(source, two="images: [{Id: two}]").assert_outcomes(passed=5)


def test_a_fixture_file_that_does_not_load_fails_the_test_with_located_errors_only(run: RunPytest) -> None:
    source = """
@pytest.mark.fakebatch("bad.yaml")
def test_bad(fakebatch): pass

def test_good(fakebatch): pass
"""
    result = run(source, bad="images:\n  - {Id: a, Platform: linux}\n  - {Name: x}\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "bad.yaml:2:23: images[[]0].Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?",
            "bad.yaml:3:5: images[[]1]: Id is missing",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("During handling*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_file_that_is_not_there_is_named_with_the_nearest_one(run: RunPytest) -> None:
    result = run("@pytest.mark.fakebatch('imges.yaml')\ndef test_bad(fakebatch): pass", images="")
    result.stdout.fnmatch_lines(["imges.yaml: there is no such file; did you mean 'images.yaml'?"])


def test_an_unknown_option_of_a_marker_is_refused(run: RunPytest) -> None:
    result = run("@pytest.mark.fakebatch(image=[])\ndef test_bad(fakebatch): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the marker fakebatch has no option image; did you mean 'images'?"])


@pytest.mark.parametrize("images", ["'w.yaml'", "['w.yaml']", "5"])
def test_images_of_a_marker_that_are_none_are_refused(run: RunPytest, images: str) -> None:
    result = run(f"@pytest.mark.fakebatch(images={images})\ndef test_bad(fakebatch): pass")
    result.assert_outcomes(errors=1)
    # Brackets are patterns here.
    result.stdout.re_match_lines([re.escape(f'images is a list such as [Image(id="...")], not {images}') + "$"])


def test_make_fakebatch_starts_others_and_stops_them(run: RunPytest) -> None:
    source = """
made = []

def test_two(make_fakebatch, fakebatch):
    made.append(make_fakebatch("one.yaml", Image(id="b")))
    made.append(make_fakebatch(clock=None))
    assert len({fakebatch.url, *(fake.url for fake in made)}) == 3
    assert len(made[0].images) == 2

def test_afterwards():
    from fakebatch import ServerError
    for fake in made:
        with pytest.raises(ServerError):
            fake.url
"""
    run(source, one="images: [{Id: one}]").assert_outcomes(passed=2)


def test_make_fakebatch_raises_what_a_test_can_catch(run: RunPytest) -> None:
    source = """
from fakebatch import FixtureError

def test_caught(make_fakebatch):
    with pytest.raises(FixtureError, match="there is no such file"):
        make_fakebatch("nope.yaml")

def test_not_caught(make_fakebatch):
    make_fakebatch("nope.yaml")
"""
    result = run(source)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E * fakebatch.errors.FixtureError: nope.yaml: there is no such file"])
    result.stdout.no_fnmatch_line("*loader.py*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


SCENARIOS = {
    "a": "images: [{Id: a}]\nexpect: {name: a}",
    "b": "images: [{Id: b}]\nexpect: {name: b}",
    "c": "images: [{Id: c}]\nexpect: {name: c}",
}


def test_scenarios_run_a_test_once_for_each_file_in_stable_order(run: RunPytest) -> None:
    source = """
@pytest.mark.fakebatch_scenarios("*.yaml")
def test_scenario(fakebatch):
    assert [image.id for image in fakebatch.images] == [fakebatch.expect["name"]]

@pytest.mark.fakebatch_scenarios("[b-c].yaml", "a.yaml", "*.yaml")
@pytest.mark.parametrize("n", [1, 2])
def test_others(n, fakebatch): pass
"""
    result = run(source, "-v", **SCENARIOS)
    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines(
        [
            "*::test_scenario[[]a[]] PASSED*",
            "*::test_scenario[[]b[]] PASSED*",
            "*::test_scenario[[]c[]] PASSED*",
            "*::test_others[[]b-1[]] PASSED*",
            "*::test_others[[]b-2[]] PASSED*",
            "*::test_others[[]c-1[]] PASSED*",
            "*::test_others[[]c-2[]] PASSED*",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "@pytest.mark.fakebatch_scenarios('nope/*.yaml')\ndef test_it(fakebatch): pass",
            "nope/[*].yaml: no fixture file in * matches this pattern",
        ),
        *(
            (f"@pytest.mark.fakebatch_scenarios({pattern})\ndef test_it(fakebatch): pass", message)
            for pattern, message in (
                ("5", "5: a scenario is a fixture file, a folder or a pattern, such as 'scenarios/[*].yaml'"),
                ("''", "'': this names no file"),
                ("'/nope/*.yaml'", "/nope/[*].yaml: no fixture file in * matches this pattern"),
                ("'fakebatch:pagin'", "fakebatch:pagin: there is no such scenario; did you mean 'fakebatch:paging'[?]"),
                ("'fakebatch:x'", "fakebatch:x: there is no such scenario; `fakebatch scenarios` lists them"),
            )
        ),
        (
            "@pytest.mark.fakebatch_scenarios()\ndef test_it(fakebatch): pass",
            "fakebatch_scenarios needs a pattern, such as 'scenarios/[*].yaml'",
        ),
        (
            "@pytest.mark.fakebatch_scenarios('*.yaml')\ndef test_it(): pass",
            "test_it has scenarios but does not use the fixture fakebatch; add it",
        ),
    ],
)
def test_scenarios_without_a_match_or_a_use_are_a_collection_error(run: RunPytest, source: str, message: str) -> None:
    result = run(source, a="")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_fixture_may_stand_between_the_scenario_and_the_test(run: RunPytest) -> None:
    source = """
@pytest.fixture
def name(fakebatch): return fakebatch.expect["name"]

@pytest.mark.fakebatch_scenarios("*.yaml")
def test_scenario(name): assert name in "abc"
"""
    run(source, **SCENARIOS).assert_outcomes(passed=3)


SCRIPTED = """
images: [{Id: a}]
script:
  - {on: ListImages, calls: 1, fail: Throttling}
  - {on: GetImage, delay: 0.001}
"""
STRICT = """
import urllib.error, urllib.request

@pytest.mark.MARKER
def test_strict(fakebatch):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(fakebatch.url + "/images")
    caught.value.close()
    PASS

def test_lax(fakebatch): pass
"""


@pytest.mark.parametrize(
    "marker", ["fakebatch('world.yaml', strict=True)", "fakebatch_scenarios('w*.yaml', strict=True)"]
)
def test_a_strict_test_fails_if_it_leaves_a_step_unused(run: RunPytest, marker: str) -> None:
    result = run(STRICT.replace("MARKER", marker).replace("PASS", "pass"), world=SCRIPTED)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "the script has steps that never acted:",
            "world.yaml:5: on GetImage: delay 0.001 s",
            "    GetImage was never called",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*traceback*")


def test_a_strict_test_that_uses_every_step_passes(run: RunPytest) -> None:
    use = 'urllib.request.urlopen(fakebatch.url + "/images/a").close()'
    run(
        STRICT.replace("MARKER", "fakebatch('world.yaml', strict=True)").replace("PASS", use), world=SCRIPTED
    ).assert_outcomes(passed=2)


FAILING = """
import urllib.error, urllib.request

@pytest.mark.fakebatch("world.yaml")
def test_failing(fakebatch):
    urllib.request.urlopen(fakebatch.url + "/images?Type=System").close()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(fakebatch.url + "/images")
    caught.value.close()
    assert not "as it should be"

def test_passing(fakebatch):
    urllib.request.urlopen(fakebatch.url + "/images?MaxItemCount=9").close()
"""
WORLD = "images: [{Id: a}]\nscript: [{on: ListImages, calls: 2, fail: Throttling.User}]\n"
SECTION = [
    "*- fakebatch calls -*",
    "??:??:??Z GET /images?Type=System -> 200 0 items (* ms)",
    "??:??:??Z GET /images -> 400 Throttling.User (* ms)  "
    "[[]world.yaml:2: on ListImages, calls 2: fail Throttling.User[]]",
]


@pytest.mark.parametrize("arguments", [[], ["-p", "xdist", "-n", "2"], ["--tb=short"], ["-p", "randomly"]])
def test_a_failing_test_s_report_shows_its_calls(
    run: RunPytest, pytester: pytest.Pytester, arguments: list[str]
) -> None:
    result = run(FAILING, "--junitxml=report.xml", *arguments, world=WORLD)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(SECTION, consecutive=True)
    result.stdout.no_fnmatch_line("*MaxItemCount=9*200*")
    report = (pytester.path / "report.xml").read_text()
    assert "GET /images -&gt; 400 Throttling.User" in report
    assert "MaxItemCount" not in report


def test_a_report_shows_the_newest_calls_only(run: RunPytest) -> None:
    source = """
from werkzeug.test import Client

def test_many(fakebatch):
    for number in range(130):
        Client(fakebatch).get(f"/images/{number}")
    assert False
"""
    result = run(source)
    result.stdout.fnmatch_lines(["(30 earlier calls)", "* GET /images/30 -> 404 *"], consecutive=True)
    result.stdout.no_fnmatch_line("* GET /images/29 -> *")


def test_a_failing_test_without_calls_says_so(run: RunPytest) -> None:
    run("def test_none(fakebatch): assert False").stdout.fnmatch_lines(["*- fakebatch calls -*", "(no calls)"])


def test_it_is_there_where_it_is_installed_and_can_be_switched_off(
    run: RunPytest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    pytester.plugins.clear()
    run("def test_on(fakebatch): pass", "-p", "no:schemathesis").assert_outcomes(passed=1)
    result = run("def test_off(fakebatch): pass", "-p", "no:schemathesis", "-p", "no:fakebatch")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'fakebatch' not found"])


def test_it_works_under_xdist_and_in_random_order(run: RunPytest) -> None:
    source = """
from werkzeug.test import Client

@pytest.mark.parametrize("n", range(20))
def test_images(fakebatch, n):
    assert len(fakebatch.images) == 4
    fakebatch.images.remove("img-centos")
    Client(fakebatch).get("/images")
    assert len(fakebatch.calls) == 1
"""
    run(source, "-p", "xdist", "-n", "3", "-p", "randomly").assert_outcomes(passed=20)


def test_the_markers_and_the_setting_are_described(run: RunPytest) -> None:
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.fakebatch(*", "@pytest.mark.fakebatch_scenarios(*"])
    run("", "--help").stdout.fnmatch_lines(["  fakebatch_fixtures *", "  fakebatch_progress *"])
    listing = run("", "--fixtures").stdout
    for fixture in ("fakebatch", "make_fakebatch", "fakebatch_client"):
        listing.fnmatch_lines([f"{fixture} -- *"])
    listing.fnmatch_lines(["fakebatch_server [[]session scope[]] -- *"])


def test_nothing_is_imported_until_a_fixture_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_unused.py").write_text(
        "import sys\n"
        "def test_unused():\n"
        "    assert 'fakebatch.pytest_plugin' in sys.modules\n"
        "    ours = {name for name in sys.modules if name.startswith('fakebatch')}\n"
        "    assert ours == {'fakebatch', 'fakebatch.pytest_plugin'}\n"
        "    assert not {'werkzeug', 'yaml', 'msgspec', 'http.server', 'ssl'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "fakebatch.pytest_plugin", str(tmp_path)]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other plugins import what they like
    result = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_fixtures_of_this_very_process_work_as_well(fakebatch: FakeBatch, make_fakebatch: MakeFakeBatch) -> None:
    assert fakebatch.url != make_fakebatch().url
    with pytest.raises(FixtureError):
        make_fakebatch("nope.yaml")


def test_strict_covers_every_fake_of_the_test_whichever_was_made_first(run: RunPytest) -> None:
    source = """
@pytest.mark.fakebatch(strict=True)
def test_shared(make_fakebatch, fakebatch):
    make_fakebatch()
    fakebatch.on("ListImages").delay(0)

@pytest.mark.fakebatch(strict=True)
def test_made(fakebatch, make_fakebatch):
    make_fakebatch("world.yaml")

@pytest.mark.fakebatch(strict=True)
def test_made_alone(make_fakebatch):
    make_fakebatch().on("GetImage").delay(0)
"""
    result = run(source, world=SCRIPTED)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "the script has steps that never acted:",
            "of fakebatch, http://127.0.0.1:*:",
            "on ListImages: *",
            "    ListImages was never called",
            "of make_fakebatch('world.yaml'), http://127.0.0.1:*:",
            "world.yaml:4: on ListImages, calls 1: fail Throttling",
            "    ListImages was never called",
            "world.yaml:5: on GetImage: delay 0.001 s",
            "on GetImage: *",
        ]
    )


def test_what_was_used_before_a_reset_in_the_middle_counts_for_strict(run: RunPytest) -> None:
    source = """
from werkzeug.test import Client

@pytest.mark.fakebatch("world.yaml", strict=True)
def test_used(fakebatch):
    assert Client(fakebatch).get("/images").status_code == 400
    fakebatch.reset()
    assert len(fakebatch.unused_steps) == 2
    Client(fakebatch).get("/images/a")

@pytest.mark.fakebatch("world.yaml", strict=True)
def test_used_by_the_test_before(fakebatch):
    Client(fakebatch).get("/images/a")
"""
    result = run(source, world=SCRIPTED)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["world.yaml:4: on ListImages, calls 1: fail Throttling"])
    result.stdout.no_fnmatch_line("world.yaml:5: *")


def test_a_test_that_stops_the_shared_fake_stops_it_for_itself(run: RunPytest) -> None:
    source = """
import urllib.request
urls = set()

@pytest.fixture(autouse=True)
def url(fakebatch):
    urls.add(fakebatch.url)

def test_stop(fakebatch): fakebatch.stop()

def test_served(fakebatch): urllib.request.urlopen(fakebatch.url + "/images").close()

def test_end(fakebatch):
    with fakebatch:
        pass

def test_last(fakebatch):
    urllib.request.urlopen(fakebatch.url + "/images").close()
    assert len(urls) == 1
"""
    run(source).assert_outcomes(passed=4)


def test_what_a_test_does_to_expect_is_its_own(run: RunPytest) -> None:
    source = """
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.fakebatch("world.yaml")
def test_expect(fakebatch, n):
    assert fakebatch.expect == {"ids": ["a"]}
    fakebatch.expect["ids"].append("b")
    fakebatch.expect["more"] = 1
    fakebatch.reset()
    assert fakebatch.expect == {"ids": ["a"]}
    fakebatch.expect.clear()
"""
    run(source, world="expect: {ids: [a]}").assert_outcomes(passed=2)


def test_a_world_that_was_left_keeps_no_calls(run: RunPytest) -> None:
    source = """
import gc
from werkzeug.test import Client
from fakebatch import Call

@pytest.mark.fakebatch("world.yaml")
def test_first(fakebatch, make_fakebatch):
    for fake in (fakebatch, make_fakebatch()):
        Client(fake).post("/images", data="x" * 1000)

def test_second(fakebatch):
    gc.collect()  # a world and what it is made of refer to each other
    # A call is not tracked by the collector; what holds calls is.
    assert not [found for holder in gc.get_objects() for found in gc.get_referents(holder) if type(found) is Call]
"""
    run(source, world=SCRIPTED).assert_outcomes(passed=2)


@pytest.mark.parametrize("rewrite", ["world", "part"])
def test_a_file_that_is_rewritten_between_two_tests_is_loaded_again(run: RunPytest, rewrite: str) -> None:
    texts = {"world": "include: [part.yaml]\nimages: [{Id: w0}]", "part": "images: [{Id: p0}]"}
    source = f"""
import os
from pathlib import Path

@pytest.mark.parametrize("n", range(3))
@pytest.mark.fakebatch("world.yaml")
def test_images(fakebatch, n):
    letter, path = "{rewrite[0]}", Path("{rewrite}.yaml")
    assert f"{{letter}}{{n}}" in fakebatch.images
    before = path.stat()
    path.write_text(path.read_text().replace(f"{{letter}}{{n}}", f"{{letter}}{{n + 1}}"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as within one tick of the clock
"""
    run(source, **texts).assert_outcomes(passed=3)


def test_a_file_that_is_gone_or_broken_between_two_tests_is_told(run: RunPytest) -> None:
    source = """
from pathlib import Path

@pytest.mark.fakebatch("world.yaml")
def test_good(fakebatch): Path("world.yaml").write_text("images: 5")

@pytest.mark.fakebatch("world.yaml")
def test_broken(fakebatch): pass

def test_remove(): Path("world.yaml").unlink()

@pytest.mark.fakebatch("world.yaml")
def test_gone(fakebatch): pass
"""
    result = run(source, world="")
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["world.yaml:1:9: images: *", "world.yaml: there is no such file*"])


BETWEEN = """
import urllib.request
import pytest

seen = []

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    yield
    fake = item.config.stash.get("fake", None)
    if fake:
        with urllib.request.urlopen(fake.url + "/images?Type=System") as response:
            item.config.stash["answer"] = response.read()
"""


def test_what_arrives_between_tests_is_recorded_nowhere(run: RunPytest, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(BETWEEN)
    source = """
import gc

@pytest.mark.fakebatch("world.yaml")
def test_first(fakebatch, pytestconfig):
    pytestconfig.stash["fake"], pytestconfig.stash["world"] = fakebatch, fakebatch.world

def test_second(fakebatch, pytestconfig):
    assert b"img-ubuntu" in pytestconfig.stash["answer"]  # neither the world nor the script of the test before
    assert len(pytestconfig.stash["world"].calls) == len(fakebatch.calls) == 0
"""
    world = "images: [{Id: b, Type: System}]\nscript: [{on: any, fail: Throttling}]"
    run(source, world=world).assert_outcomes(passed=2)


def test_a_request_of_an_earlier_test_that_is_late_is_not_recorded(run: RunPytest) -> None:
    source = """
import socket

late = []

def test_first(fakebatch):
    late.append(socket.create_connection((fakebatch.host, fakebatch.port)))
    late[0].sendall(b"GET /images")

def test_second(fakebatch):
    late[0].sendall(b" HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    while late[0].recv(65536): pass
    late[0].close()
    assert len(fakebatch.calls) == 0
"""
    run(source).assert_outcomes(passed=2)


CALLBACK = """
from werkzeug.test import Client

def picky(call):
    raise RuntimeError(f"not {call.path}, please")

def asked(make_fakebatch, *paths):
    client = Client(make_fakebatch(on_call=picky))
    for path in paths:
        client.get(path)
"""


def test_a_callback_that_fails_the_test_is_told_beside_its_own_failure(run: RunPytest) -> None:
    source = """
import pytest
from werkzeug.test import Client

def unwanted(call): pytest.fail(f"not {call.path}, please")

def test_one(make_fakebatch):
    Client(make_fakebatch(on_call=unwanted)).get("/first")
    assert not "as it should be"

def test_two(make_fakebatch): Client(make_fakebatch(on_call=unwanted)).get("/second")
"""
    result = run(source)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E * assert not 'as it should be'",
            "*- fakebatch failure -*",
            "Failed: not /first, please",
            "E * not /second*",
        ]
    )


def test_what_a_callback_raises_fails_the_test(run: RunPytest) -> None:
    source = f"""{CALLBACK}
def test_one(make_fakebatch): asked(make_fakebatch, "/images")

def test_two(make_fakebatch): asked(make_fakebatch, "/first", "/second")

def test_beside_its_own_failure(make_fakebatch):
    asked(make_fakebatch, "/third")
    assert not "as it should be"

def test_nothing(make_fakebatch): asked(make_fakebatch)
"""
    result = run(source)
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            ">*raise RuntimeError(f*",
            "E * RuntimeError: not /images, please",
            "*- fakebatch calls -*",
            "*ExceptionGroup: several things went wrong*",
            "*RuntimeError: not /first, please",
            "*RuntimeError: not /second, please",
            "E * assert not 'as it should be'",
            "*- fakebatch failure -*",
            "RuntimeError: not /third, please",
        ]
    )
    if pytest.version_tuple >= (9,):  # older ones show all frames of a group
        result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_what_goes_wrong_while_fixtures_are_torn_down_is_told_as_well(run: RunPytest) -> None:
    source = f"""{CALLBACK}
@pytest.fixture
def late(make_fakebatch):
    yield
    asked(make_fakebatch, "/late")

def test_late(late): pass

def test_next(make_fakebatch): pass
"""
    result = run(source)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E * RuntimeError: not /late, please", "*- fakebatch calls -*", "*GET /late*"])


def test_a_step_without_an_effect_is_told(run: RunPytest) -> None:
    result = run("def test_step(fakebatch): fakebatch.on('ListImages')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["on ListImages: this step never got an effect*"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    result.stdout.no_fnmatch_line("*hidden*")


RERUN = """
from werkzeug.test import Client
runs = []

@pytest.mark.fakebatch(strict=True)
def test_flaky(fakebatch, make_fakebatch):
    runs.append(1)
    other = make_fakebatch()
    Client(other).get(f"/images/run-{len(runs)}")
    assert len(fakebatch.calls) == 0
    Client(fakebatch).get(f"/images/run-{len(runs)}")
    if len(runs) < LAST:
        fakebatch.on("GetImage").delay(0)
        assert False
"""


def test_a_rerun_begins_anew(run: RunPytest) -> None:
    run(RERUN.replace("LAST", "3"), "-p", "rerunfailures", "--reruns=3").assert_outcomes(passed=1)
    result = run(RERUN.replace("LAST", "9"), "-p", "rerunfailures", "--reruns=1")
    result.assert_outcomes(failed=1)
    assert str(result.stdout).count("- fakebatch calls of ") == 2
    result.stdout.no_fnmatch_line("*run-1 *")


def test_what_failed_last_runs_alone_as_it_did(run: RunPytest) -> None:
    source = RERUN.replace("LAST", "9") + "\ndef test_good(fakebatch): pass\n"
    for arguments in ([], ["--lf"]):
        result = run(source, *arguments)
        result.assert_outcomes(failed=1, passed=0 if arguments else 1)
        assert str(result.stdout).count("- fakebatch calls of ") == 2


def test_a_failing_subtest_shows_the_calls_until_then(run: RunPytest) -> None:
    pytest.importorskip("_pytest.subtests", reason="subtests came with pytest 9")
    source = """
from werkzeug.test import Client

@pytest.mark.fakebatch(strict=True)
def test_subtests(fakebatch, subtests):
    for name in ("good", "bad"):
        with subtests.test(name):
            Client(fakebatch).get(f"/images/{name}")
            assert name == "good"

def test_next(fakebatch): assert len(fakebatch.calls) == 0
"""
    result = run(source)
    result.stdout.fnmatch_lines(["*- fakebatch calls -*", "*GET /images/good*", "*GET /images/bad*"])
    assert result.parseoutcomes()["passed"] >= 1


def test_a_fixture_that_is_none_is_refused(run: RunPytest) -> None:
    result = run("@pytest.mark.fakebatch(['a.yaml'])\ndef test_bad(fakebatch): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["expected the path of a fixture file or an Image or a Cluster or a Job or an App, got [[]'a.yaml'[]]"]
    )
    result = run("""
import pytest
from fakebatch import Image

@pytest.mark.fakebatch(Image(id=["a"]))
def test_it(fakebatch):
    pass
""")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["not a valid Image: Expected `str`, got `array` - at `$.Id`"])


def python(program: str) -> str:
    """Run a program in a new process and return what it prints."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_a_tool_that_walks_modules_imports_nothing() -> None:
    program = """
import sys, fakebatch
before = set(sys.modules)
[getattr(fakebatch, name) for name in dir(fakebatch)]
import fakebatch.pytest_plugin
[getattr(module, name) for module in (fakebatch, fakebatch.pytest_plugin) for name in dir(module)]
print({name for name in sys.modules if name.startswith("fakebatch")} == {"fakebatch", "fakebatch.pytest_plugin"})
print(not {"werkzeug", "yaml", "msgspec", "ssl"} & (set(sys.modules) - before))
"""
    assert python(program).split() == ["True", "True"]


def test_public_names_are_completed_where_a_person_types_and_can_be_imported_anywhere() -> None:
    assert python(
        "import sys; sys.ps1 = '>>> '; import fakebatch; print(set(fakebatch.__all__) <= set(dir(fakebatch)))"
    )
    assert python("from fakebatch import *; print(FakeBatch.__name__, MakeFakeBatch.__name__)").split() == [
        "FakeBatch",
        "MakeFakeBatch",
    ]


def test_a_name_that_is_not_there_is_refused_by_type_checkers_as_well() -> None:
    with pytest.raises(ImportError, match="FakeBach"):
        from fakebatch import FakeBach  # type: ignore[attr-defined]  # noqa: F401 - the mistake; mypy has to see it


def test_make_fakebatch_takes_what_fakebatch_takes() -> None:
    typed = inspect.signature(MakeFakeBatch.__call__).parameters
    taken = inspect.signature(FakeBatch).parameters
    assert {name: parameter.default for name, parameter in typed.items() if name != "self"} == {
        name: parameter.default for name, parameter in taken.items()
    }


def test_a_file_that_can_no_longer_be_read_fails_the_test(run: RunPytest) -> None:
    source = """
from pathlib import Path

@pytest.fixture
def unreadable(monkeypatch, request):
    def refuse(path): raise PermissionError(13, "Permission denied")
    if request.node.name == "test_second":
        monkeypatch.setattr(Path, "read_bytes", refuse)

@pytest.mark.fakebatch("world.yaml")
def test_first(unreadable, fakebatch): assert "w" in fakebatch.images

@pytest.mark.fakebatch("world.yaml")
def test_second(unreadable, fakebatch): pass
"""
    result = run(source, world="images: [{Id: w}]")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*world.yaml: it can't be read: Permission denied"])


def test_what_went_wrong_in_several_fakes_is_told_together(run: RunPytest) -> None:
    source = f"""{CALLBACK}
def test_two_fakes(make_fakebatch):
    asked(make_fakebatch, "/first")
    asked(make_fakebatch, "/second")
"""
    result = run(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*several things went wrong while the fakes answered requests*"])


# One server for fixtures of any scope


SERVER = """
import urllib.request

def ask(url, what="/images"):
    with urllib.request.urlopen(url + what) as response:
        return response.read().decode()

@pytest.fixture(scope="session")
def app(fakebatch_server):
    started_with = ask(fakebatch_server.url)
    yield fakebatch_server.url, started_with
    ask(fakebatch_server.url)

@pytest.fixture(scope="SCOPE")
def wide(app):
    ask(app[0], "/images?Marker=wide")
    return app[0]

@pytest.fixture
def narrow(wide): return ask(wide, "/images?Type=System&MaxItemCount=1")

@pytest.fixture
def world(fakebatch): return fakebatch

urls = set()

def test_the_setting(app, wide):
    urls.add(wide)
    assert "img-setting" in app[1] and "img-setting" in ask(wide)

@pytest.mark.fakebatch("one.yaml")
def test_the_marker_alone(wide):
    assert "one" in ask(wide)
    assert "img-setting" not in ask(wide)

@pytest.mark.fakebatch(images=[Image(id="two", type="System")])
def test_before_its_own_fixtures(narrow, world):
    urls.add(world.url)
    assert "two" in narrow
    assert [call.operation for call in world.calls] == ["ListImages"]

@pytest.mark.fakebatch_scenarios("one.yaml", "two.yaml")
def test_scenarios(wide, fakebatch, request):
    assert request.node.callspec.id in ask(wide)

def test_failing(wide):
    ask(wide, "/images?MaxItemCount=7")
    assert not "as it should be"

@pytest.mark.fakebatch(tls=True, images=[Image(id="three")])
def test_of_another_kind(wide, fakebatch):
    assert fakebatch.url.startswith("https://127.0.0.1:")
    assert "three" in ask(wide)
    assert len(fakebatch.calls) == 1
    assert fakebatch.ca_bundle

def test_nothing_of_ours(): pass

def test_nothing_of_ours_that_fails():
    assert not "as it should be"

def test_it_is_one_server(wide):
    urls.add(wide)
    assert len(urls) == 1
"""


@pytest.mark.parametrize("scope", ["session", "package", "module", "class"])
def test_a_fixture_of_any_scope_gets_the_server_and_each_test_its_world(
    run: RunPytest, pytester: pytest.Pytester, scope: str
) -> None:
    pytester.makeini("[pytest]\nfakebatch_fixtures = setting.yaml")
    source = SERVER.replace("SCOPE", scope)
    worlds = {"one": "images: [{Id: one}]", "two": "images: [{Id: two}]", "setting": "images: [{Id: img-setting}]"}
    result = run(source, **worlds)
    result.assert_outcomes(passed=8, failed=2)
    result.stdout.fnmatch_lines(["*- fakebatch calls -*", "*GET /images?MaxItemCount=7 -> 200 1 item*"])
    assert str(result.stdout).count("fakebatch calls") == 1


def test_an_application_in_a_child_process_sees_each_test_s_world(run: RunPytest) -> None:
    source = """
import subprocess, sys, urllib.request

APPLICATION = '''
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen(f"{self.path[1:]}://batchcompute.cn-qingdao.aliyuncs.com/images") as response:
            answer = response.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_): pass

server = HTTPServer(("127.0.0.1", 0), Application)
print(server.server_port, flush=True)
server.serve_forever()
'''

@pytest.fixture(scope="session")
def application(fakebatch_server):
    import os
    command = [sys.executable, "-c", APPLICATION]
    environment = {**os.environ, **fakebatch_server.environment()}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()

def ask(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()

@pytest.mark.fakebatch(images=[Image(id="one")])
def test_one(application): assert '"one"' in ask(f"{application}/http")

@pytest.mark.fakebatch(images=[Image(id="two")])
def test_two(application, fakebatch):
    assert '"two"' in ask(f"{application}/https")
    assert fakebatch.calls[0].host == "batchcompute.cn-qingdao.aliyuncs.com"

def test_failing(application):
    ask(f"{application}/http")
    assert not "as it should be"
"""
    result = run(source)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*- fakebatch calls -*", "* GET /images -> 200 *"])


def test_a_mistaken_marker_fails_its_own_test_and_no_later_one(run: RunPytest) -> None:
    source = """
@pytest.fixture(scope="session")
def application(fakebatch_server): return fakebatch_server.url

@pytest.fixture
def client(application): return application

def test_before(client): pass

@pytest.mark.fakebatch("nope.yaml")
def test_mistaken(client, fakebatch): pass

def test_after(client): pass
"""
    result = run(source)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["nope.yaml: there is no such file"])


def test_a_server_that_is_first_used_in_the_middle_of_a_test_leaves_it_its_world(run: RunPytest) -> None:
    source = """
@pytest.mark.fakebatch(images=[Image(id="mine")])
def test_late(fakebatch, request):
    server = request.getfixturevalue("fakebatch_server")
    assert server is fakebatch
    assert "mine" in server.images

def test_later(fakebatch_server, fakebatch):
    with fakebatch_server.redirect():
        assert fakebatch_server.environment()
    assert len(fakebatch_server.images) == 4
"""
    run(source).assert_outcomes(passed=2)


def test_a_setting_that_does_not_load_fails_what_needs_it(run: RunPytest, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfakebatch_fixtures = nope.yaml")
    source = """
def test_server(fakebatch_server): pass

@pytest.mark.fakebatch(images=[])
def test_own(fakebatch): pass
"""
    result = run(source)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["nope.yaml: there is no such file"])


# What a marker takes


def test_a_marker_takes_files_however_they_are_named_and_records_of_all_kinds(
    run: RunPytest, pytester: pytest.Pytester
) -> None:
    for name in ("a.yaml", "b.yml", "c.json"):
        path = pytester.mkdir("deep") / name if name == "a.yaml" else pytester.path / "deep" / name
        path.write_text(f'{{"images": [{{"Id": "{name[0]}"}}]}}')
    (pytester.path / "deep" / "notes.txt").write_text("no fixture file")
    (pytester.path / "odd[1].yaml").write_text("images: [{Id: odd}]")
    source = """
from pathlib import Path
from fakebatch import Account, App, Cluster, Job

HERE = Path(__file__).parent

def ids(fake): return "".join(image.id for image in fake.images)

@pytest.mark.fakebatch("deep")
def test_folder(fakebatch): assert ids(fakebatch) == "abc"

@pytest.mark.fakebatch("deep/[ab].y*ml")
def test_pattern(fakebatch): assert ids(fakebatch) == "ab"

@pytest.mark.fakebatch("**/c.json")
def test_pattern_of_any_depth(fakebatch): assert ids(fakebatch) == "c"

@pytest.mark.fakebatch(str(HERE / "deep" / "a.yaml"), HERE / "deep" / "b.yml", HERE / "odd[1].yaml")
def test_paths(fakebatch): assert ids(fakebatch) == "abodd"

@pytest.mark.fakebatch("odd[1].yaml")
def test_a_file_of_this_name(fakebatch): assert ids(fakebatch) == "odd"

@pytest.mark.fakebatch(str(HERE / "d*" / "a.yaml"))
def test_whole_pattern(fakebatch): assert ids(fakebatch) == "a"

@pytest.mark.fakebatch("fakebatch:throttled")
def test_packaged(fakebatch, make_fakebatch):
    assert fakebatch.expect == make_fakebatch("fakebatch:throttled").expect == {"images": 250}

@pytest.mark.fakebatch(Image(id="i"), Job(id="job-1"), jobs=[Job(id="job-2")], clusters=[Cluster(id="cls-1")],
                       apps=[App(name="echo")])
def test_records(fakebatch, make_fakebatch):
    assert (len(fakebatch.images), len(fakebatch.jobs), len(fakebatch.clusters), len(fakebatch.apps)) == (1, 2, 1, 1)
    assert ids(make_fakebatch("deep", "odd[1].yaml")) == "abcodd"

@pytest.mark.fakebatch(Image(id="i"), accounts=[Account("an-id", "a-secret")])
def test_accounts(fakebatch): assert list(fakebatch.world.accounts) == ["an-id"]

@pytest.mark.fakebatch(accounts=[Account("an-id", "a-secret")])
def test_accounts_beside_what_there_is(fakebatch):
    assert list(fakebatch.world.accounts) == ["an-id"] and len(fakebatch.images) == 4

@pytest.mark.fakebatch("nope")
def test_missing(fakebatch): pass

@pytest.mark.fakebatch("")
def test_nothing(fakebatch): pass

@pytest.mark.fakebatch("empty")
def test_empty(fakebatch): pass

@pytest.mark.fakebatch("x" * 5000)
def test_long(fakebatch): pass

@pytest.mark.fakebatch("fakebatch:paging")
def test_a_set(fakebatch): pass
"""
    pytester.mkdir("empty")
    result = run(source)
    result.assert_outcomes(passed=10, errors=5)
    result.stdout.fnmatch_lines(
        [
            "nope: there is no such file",
            "'': this names no file",
            "empty: there is no fixture file in this folder; they end in .yaml, .yml, .json",
            "xxx*: it can't be read: File name too long",
            "fakebatch:paging: this is a set of scenarios, and a world is made of one; name one of fakebatch:conn*",
        ]
    )


def test_a_marker_sets_the_clock_and_how_its_test_is_served(run: RunPytest) -> None:
    source = """
import ssl, urllib.error, urllib.request
from datetime import datetime

def clock(): return datetime(2016, 10, 31)

@pytest.mark.fakebatch(clock=clock, tls=True)
def test_tls(fakebatch):
    context = ssl.create_default_context(cafile=fakebatch.ca_bundle)
    with urllib.request.urlopen(fakebatch.url + "/images", context=context) as response:
        assert response.headers["Date"] == "Mon, 31 Oct 2016 00:00:00 GMT"
    urls.add(fakebatch.url)

urls = set()

@pytest.mark.fakebatch(tls=True)
def test_the_same_server(fakebatch):
    urls.add(fakebatch.url)
    assert len(urls) == 1 and fakebatch.clock.now().year > 2016

def status(fake):
    try:
        with urllib.request.urlopen(fake.url + "/_fakebatch/health") as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code

@pytest.mark.fakebatch(control=True)
def test_control(fakebatch):
    assert status(fakebatch) == 200
    urls.add(fakebatch.url)

def test_no_control(fakebatch):
    assert status(fakebatch) == 400
    urls.add(fakebatch.url)
    assert len(urls) == 3

@pytest.mark.fakebatch(control=True, tls=True)
def test_both(fakebatch):
    urls.add(fakebatch.url)
    assert fakebatch.url.startswith("https:") and len(urls) == 4

@pytest.mark.fakebatch(strict=1)
def test_not_strict(fakebatch): pass

@pytest.mark.fakebatch(clock=5)
def test_no_clock(fakebatch): pass

@pytest.mark.fakebatch(tls="yes")
def test_no_switch(fakebatch): pass

@pytest.mark.fakebatch(accounts=5)
def test_no_accounts(fakebatch): pass
"""
    result = run(source)
    result.assert_outcomes(passed=5, errors=4)
    result.stdout.fnmatch_lines(
        [
            "strict is True or False, not 1",
            "clock is a function that returns a datetime, not 5",
            "tls is True or False, not 'yes'",
            "accounts is a list such as *, not an int",
        ]
    )


def test_a_wrong_marker_fails_its_test_also_where_no_fixture_is_used(run: RunPytest) -> None:
    source = """
@pytest.mark.fakebatch("nope.yaml")
def test_file(): pass

@pytest.mark.fakebatch(imags=[])
def test_option(): pass

@pytest.mark.fakebatch("bad.yaml")
def test_content(): pass

@pytest.mark.fakebatch_scenarios("good.yaml", stricte=True)
def test_scenarios(fakebatch): pass

@pytest.mark.fakebatch_scenarios("bad.yaml")
def test_scenario(fakebatch): pass

@pytest.mark.fakebatch_scenarios("good.yaml")
@pytest.mark.fakebatch(tls=0)
def test_beside_scenarios(fakebatch): pass

@pytest.mark.fakebatch("nope2.yaml")
def test_made(make_fakebatch): pass

@pytest.mark.skip(reason="for now")
@pytest.mark.fakebatch("nope.yaml")
def test_skipped(): pass

@pytest.mark.fakebatch("good.yaml")
def test_good(): pass
"""
    result = run(source, good="", bad="images: 5")
    result.assert_outcomes(passed=1, errors=7, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "nope.yaml: there is no such file",
            "the marker fakebatch has no option imags; did you mean 'images'?",
            "bad.yaml:1:9: images: *",
            "the marker fakebatch_scenarios has no option stricte; did you mean 'strict'?",
            "bad.yaml:1:9: images: *",
            "tls is True or False, not 0",
            "nope2.yaml: there is no such file",
        ]
    )


def test_scenarios_add_to_what_the_marker_beside_them_says(run: RunPytest, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfakebatch_fixtures = nope.yaml")
    source = """
from fakebatch import Account

@pytest.mark.fakebatch("common.yaml", images=[Image(id="z")], accounts=[Account("an-id", "a-secret")])
class TestAll:
    @pytest.mark.fakebatch_scenarios("[ab].yaml")
    def test_scenario(self, fakebatch):
        assert [image.id for image in fakebatch.images] == [fakebatch.expect["name"], "y", "z"]
        assert list(fakebatch.world.accounts) == ["an-id"]

@pytest.mark.fakebatch_scenarios("folder", "fakebatch:job-stuck")
def test_others(fakebatch, request):
    assert request.node.callspec.id in ("in", "job-stuck")

@pytest.mark.fakebatch_scenarios("fakebatch:paging")
def test_a_set(fakebatch): assert fakebatch.expect["images"]
"""
    pytester.mkdir("folder").joinpath("in.yaml").write_text("images: []")
    result = run(source, common="images: [{Id: y}]\nexpect: {name: common}", **SCENARIOS)
    result.assert_outcomes(passed=16)


def test_a_unittest_test_case_finds_its_fake_as_an_attribute(run: RunPytest) -> None:
    source = """
import unittest
from werkzeug.test import Client

@pytest.mark.fakebatch("one.yaml")
class TestOld(unittest.TestCase):
    def setUp(self):
        assert "one" in self.fakebatch.images

    def test_class(self):
        Client(self.fakebatch).get("/images")
        self.assertEqual(len(self.fakebatch.calls), 1)

    @pytest.mark.fakebatch(images=[Image(id="one"), Image(id="two")])
    def test_method(self):
        self.assertEqual(self.fakebatch.calls, [])
        self.assertIn("two", self.fakebatch.images)

    def test_failing(self):
        Client(self.fakebatch).get("/images?MaxItemCount=7")
        self.fakebatch.on("ListImage")

    @pytest.mark.fakebatch_scenarios("one.yaml")
    def test_scenarios(self): pass

class TestWithoutMarker(unittest.TestCase):
    def test_it(self): self.assertFalse(hasattr(self, "fakebatch"))
"""
    result = run(source, one="images: [{Id: one}]")
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "a method of a unittest.TestCase has no parameters, and so no scenarios: name one file *",
            ">*self.fakebatch.on(*",
            "*- fakebatch calls -*",
            "*MaxItemCount=7*",
        ]
    )
    result.stdout.no_fnmatch_line("*world.py*")


def test_progress_of_a_whole_suite_is_a_line_of_the_ini_file(run: RunPytest, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfakebatch_progress = job=* waiting=0 running=0\n  cluster=c starting=forever")
    source = """
from fakebatch import Job

def ended(fake):
    fake.jobs.add(Job(id="job-1", name="mine"))
    from werkzeug.test import Client
    return Client(fake).get("/jobs/job-1").json["State"]

def test_it(fakebatch, make_fakebatch):
    assert ended(fakebatch) == ended(make_fakebatch()) == "Finished"
    fakebatch.reset()
    assert ended(fakebatch) == "Finished"
    assert str(fakebatch.world.rules[1]).startswith("fakebatch_progress: cluster c, starting forever")

@pytest.mark.fakebatch("slow.yaml")
def test_what_a_file_says_comes_first(fakebatch): assert ended(fakebatch) == "Waiting"

@pytest.fixture(scope="session")
def early(fakebatch_server): return ended(fakebatch_server)

def test_between_tests(early): assert early == "Finished"
"""
    run(source, slow="progress: [{job: mine, waiting: forever}]").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "job=* wating=0",
            "fakebatch_progress: 'wating=0' is no part of a rule such as `job=* waiting=0 running=0`;"
            " did you mean 'waiting'?",
        ),
        (
            "everything",
            "fakebatch_progress: 'everything' is no part of a rule such as `job=* waiting=0 running=0`;"
            " known are job, cluster, waiting, running, starting, deleting, end",
        ),
        ("job=* waiting=soon", "fakebatch_progress: job=* waiting=soon: a phase lasts so many polls *, not 'soon'"),
        ("waiting=0", "fakebatch_progress: waiting=0: a rule of progress is for a job or a cluster: *"),
    ],
)
def test_a_line_of_progress_that_is_none_is_refused(
    run: RunPytest, pytester: pytest.Pytester, line: str, message: str
) -> None:
    pytester.makeini(f"[pytest]\nfakebatch_progress = {line}")
    result = run("def test_it(fakebatch): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message.replace("[", "[[]")])


# Reports


def test_a_report_says_which_fake_saw_what_and_shows_no_frame_of_ours(run: RunPytest) -> None:
    source = """
from werkzeug.test import Client
from fakebatch import FakeBatch

def test_several(fakebatch, make_fakebatch):
    others = make_fakebatch("one.yaml"), make_fakebatch(*[Image(id=f"img-{n:010}") for n in range(9)], clock=None)
    for fake in (fakebatch, *others):
        Client(fake).get(f"/images?MaxItemCount={len(fake.images)}")
    others[0].jobs["job-none"]

def test_failures(make_fakebatch):
    for _ in range(2):
        make_fakebatch(on_call=refuse)
    Client(make_fakebatch(on_call=refuse)).get("/nowhere")
    assert not "as it should be"

def refuse(call): raise RuntimeError("no, thanks")

def helper(fake):
    def innermost(): fake.on("ListImages").fail("Throtling")
    innermost()

def test_no_fixture(): helper(FakeBatch())
"""
    result = run(source, one="images: [{Id: one}]")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            '>*others[[]0[]].jobs[[]"job-none"[]]',
            "E *KeyError: *",
            "*- fakebatch calls of fakebatch, http://127.0.0.1:* -*",
            "*MaxItemCount=4 *",
            "*- fakebatch calls of make_fakebatch('one.yaml'), http://127.0.0.1:* -*",
            "*MaxItemCount=1 *",
            "*- fakebatch calls of make_fakebatch(Image(id='img-0000000000'*...), http://127.0.0.1:* -*",
            "*MaxItemCount=9 *",
            "*- fakebatch failure of make_fakebatch(on_call), http://127.0.0.1:* -*",
            "RuntimeError: no, thanks",
            "*innermost()*",
            "E *ValueError: 'Throtling' is not *",
        ]
    )
    for file in ("fake", "script", "world", "collection", "application", "testing", "pytest_plugin"):
        result.stdout.no_fnmatch_line(f"*fakebatch/*{file}.py*")
    whole = run(source, "--full-trace", one="images: [{Id: one}]")
    whole.stdout.fnmatch_lines(["*fakebatch/*script.py:*"])


def test_a_mistake_of_the_fake_itself_is_shown_with_its_frames(run: RunPytest, pytester: pytest.Pytester) -> None:
    source = """
def test_it(fakebatch): pass
"""
    pytester.makeconftest("""
import pytest
import fakebatch.service.world

@pytest.fixture(autouse=True)
def broken(monkeypatch):
    monkeypatch.setattr(fakebatch.service.world.World, "begin", None)
""")
    result = run(source)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [">*begin()*", "E *TypeError: 'NoneType' object is not callable", "*fakebatch/service/world.py:*"]
    )


def test_what_is_public_can_be_named() -> None:
    import fakebatch

    description = job({"count": task()})
    with FakeBatch(fakebatch.Cluster(groups={"g": {"DesiredVMCount": 1}}), fakebatch.Job(description)) as fake:
        step = fake.on("ListImages").fail("Throttling")
        (cluster,), (made,) = fake.clusters, fake.jobs
        assert isinstance(step, fakebatch.StepBuilder)
        assert isinstance(fake.unused_steps[0], fakebatch.Step)
        assert isinstance(fake.unused_steps[0].failure, fakebatch.Failure)
        assert isinstance(fake.on("ListImages").reply(200).step.reply, fakebatch.Reply)
        assert isinstance(fake.calls, fakebatch.Calls)
        assert isinstance(fake.clock, fakebatch.WorldClock)
        assert isinstance(fake.images, fakebatch.Collection)
        assert isinstance(fake.jobs, fakebatch.Jobs)
        assert isinstance(made.tasks["count"], fakebatch.Task)
        assert isinstance(made.tasks["count"].instances[0], fakebatch.Instance)
        assert isinstance(fake.clusters, fakebatch.Clusters)
        assert isinstance(cluster.groups["g"], fakebatch.Group)
        assert isinstance(cluster.groups["g"].instances[0], fakebatch.ClusterInstance)
        assert isinstance(fake.progress(job="*"), fakebatch.RuleBuilder)
    assert fakebatch.__all__ == sorted(fakebatch.__all__, key=lambda name: (name.islower(), name))


def test_no_example_needs_a_name_from_elsewhere_in_the_package() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    for page in pages:
        assert re.findall(r"(?:from|import) fakebatch\.[\w.]+", page.read_text(encoding="utf-8")) == []
