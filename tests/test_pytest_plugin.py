"""The pytest plugin, in test suites of its own: the fixtures, the markers, the setting, and what reports show."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
    run(source, "-p", "no:randomly").assert_outcomes(passed=3)


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


@pytest.mark.parametrize("setting", ["worlds/one.yaml two.yaml", "\n  worlds/one.yaml\n  two.yaml"])
def test_the_setting_is_relative_to_the_root_folder(run: RunPytest, pytester: pytest.Pytester, setting: str) -> None:
    pytester.makeini(f"[pytest]\nfakebatch_fixtures = {setting}")
    pytester.mkdir("worlds").joinpath("one.yaml").write_text("images: [{Id: one}]")
    source = """
def test_setting(fakebatch): assert len(fakebatch.images) == 2

@pytest.mark.fakebatch("two.yaml")
def test_the_marker_comes_first(fakebatch): assert len(fakebatch.images) == 1
"""
    run(source, two="images: [{Id: two}]").assert_outcomes(passed=2)


def test_a_fixture_file_that_does_not_load_fails_the_test_with_located_errors_only(run: RunPytest) -> None:
    source = """
@pytest.mark.fakebatch("bad.yaml")
def test_bad(fakebatch): pass

def test_good(fakebatch): pass
"""
    result = run(source, "-p", "no:randomly", bad="images:\n  - {Id: a, Platform: linux}\n  - {Name: x}\n")
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
    result.stdout.fnmatch_lines(["the marker fakebatch has no option image; see pytest --markers"])


@pytest.mark.parametrize("images", ["'w.yaml'", "['w.yaml']", "5"])
def test_images_of_a_marker_that_are_none_are_refused(run: RunPytest, images: str) -> None:
    result = run(f"@pytest.mark.fakebatch(images={images})\ndef test_bad(fakebatch): pass")
    result.assert_outcomes(errors=1)
    # Brackets are patterns here.
    result.stdout.re_match_lines([re.escape(f'images is a list such as [Image(id="img-a")], not {images}') + "$"])


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
    run(source, "-p", "no:randomly", one="images: [{Id: one}]").assert_outcomes(passed=2)


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
    result = run(source, "-v", "-p", "no:randomly", **SCENARIOS)
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
            "no scenario matches 'nope/[*].yaml' in *",
        ),
        *(
            (
                f"@pytest.mark.fakebatch_scenarios({pattern})\ndef test_it(fakebatch): pass",
                "a scenario is a pattern relative to the test's file, such as 'scenarios/[*].yaml', not *",
            )
            for pattern in ("5", "''", "'/tmp/*.yaml'", "['a.yaml']")
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
        ["the script has steps that never acted:", "world.yaml:5: on GetImage: delay 0.001 s"], consecutive=True
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


@pytest.mark.parametrize("arguments", [[], ["-n", "2"], ["--tb=short"], ["-p", "no:randomly"]])
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


def test_it_can_be_switched_off(run: RunPytest) -> None:
    run("def test_off(): pass", "-p", "no:fakebatch").assert_outcomes(passed=1)


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
    run(source, "-n", "3", "-p", "randomly").assert_outcomes(passed=20)


def test_the_markers_and_the_setting_are_described(run: RunPytest) -> None:
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.fakebatch(*", "@pytest.mark.fakebatch_scenarios(*"])
    run("", "--help").stdout.fnmatch_lines(["  fakebatch_fixtures *"])
    listing = run("", "--fixtures").stdout
    for fixture in ("fakebatch", "make_fakebatch", "fakebatch_client"):
        listing.fnmatch_lines([f"{fixture} -- *"])


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


IN_ORDER = ("-p", "no:randomly")


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
    result = run(source, *IN_ORDER, world=SCRIPTED)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "on ListImages: *",
            "world.yaml:4: on ListImages, calls 1: fail Throttling",
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
    result = run(source, *IN_ORDER, world=SCRIPTED)
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
    run(source, *IN_ORDER).assert_outcomes(passed=4)


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
    run(source, *IN_ORDER, world=SCRIPTED).assert_outcomes(passed=2)


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
    run(source, *IN_ORDER, **texts).assert_outcomes(passed=3)


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
    result = run(source, *IN_ORDER, world="")
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
    run(source, *IN_ORDER, world=world).assert_outcomes(passed=2)


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
    run(source, *IN_ORDER).assert_outcomes(passed=2)


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
    result = run(source, *IN_ORDER)
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
    result = run(source, *IN_ORDER)
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
    result = run(source, *IN_ORDER)
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
    assert str(result.stdout).count("- fakebatch calls -") == 2
    result.stdout.no_fnmatch_line("*run-1 *")


def test_what_failed_last_runs_alone_as_it_did(run: RunPytest) -> None:
    source = RERUN.replace("LAST", "9") + "\ndef test_good(fakebatch): pass\n"
    for arguments in ([], ["--lf"]):
        result = run(source, *IN_ORDER, *arguments)
        result.assert_outcomes(failed=1, passed=0 if arguments else 1)
        assert str(result.stdout).count("- fakebatch calls -") == 2


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
    result = run(source, *IN_ORDER)
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
    result = run(source, *IN_ORDER, world="images: [{Id: w}]")
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
