"""The page of the control interface, in a real Chromium, as a person uses it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from asking import Asking, job
from browser import Browser, Page, axe, chromium, expect
from werkzeug.test import Client

from fakebatch import Cluster, FakeBatch, Image, Job
from fakebatch.control import access, api

pytestmark = pytest.mark.browser

WORLD = """
images:
  - {Id: "img-{n:03}", Name: "image {n}", repeat: 120}
  - {Id: img-other, Name: "<script>window.wasRun = true</script><img src=x onerror='window.wasRun = true'>"}
jobs:
  - {Id: job-1, Name: nightly, DAG: {Tasks: {first: {}, second: {}}, Dependencies: {first: [second]}}}
  - {Id: job-2, Name: weekly}
  - {Id: job-3, Name: old, State: Finished}
clusters: [{Id: cls-1, Name: render, Groups: {workers: {DesiredVMCount: 2}}}]
apps: [{Name: echo, CommandLine: echo}]
script: [{on: ListImages, calls: 2, fail: Throttling.User}]
progress: [{job: nightly, waiting: 1, running: 3}]
"""
VIEWS = ("images", "clusters", "jobs", "apps", "calls", "script", "progress", "events")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A name that leads here is what somebody who rebinds one has.
    with chromium("--host-resolver-rules=MAP *.example 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeBatch]:
    path = tmp_path / "world.yaml"
    path.write_text(WORLD)
    with FakeBatch(path, control=True) as fake:
        yield fake


@contextmanager
def opened(browser: Browser, fake: FakeBatch, view: str = "images", **options: Any) -> Iterator[Page]:
    """Give the page at a view. Fails if anything was wrong on it, or was to be done that its policy forbids."""
    context = browser.new_context(**options)
    context.add_init_script(
        "window.violations = [];"
        "addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective))"
    )
    page = context.new_page()
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))  # it must be a function of Python's own
    page.goto(f"{fake.url}/_fakebatch/#{view}")
    expect(page.locator("#state")).to_have_text("connected")
    try:
        yield page
        assert page.evaluate("window.violations") == []
        assert errors == []
    finally:
        context.close()


@pytest.fixture
def page(browser: Browser, fake: FakeBatch) -> Iterator[Page]:
    with opened(browser, fake) as page:
        yield page


def turn_to(page: Page, view: str) -> None:
    page.locator(f"nav a[href='#{view}']").click()


def click(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def rows(page: Page, view: str = "records") -> Any:
    return page.locator(f"#{view}-table tbody tr")


def said(page: Page, text: str) -> None:
    """Wait until the page says this to whoever has asked for something."""
    expect(page.locator("#said")).to_have_text(text)


def complaint(page: Page, place: str) -> Any:
    """Return what the page says is wrong, where that was made."""
    return page.locator(f"#{place}-problems:visible")


# What there is


@pytest.mark.parametrize(
    ("view", "first", "shown"),
    [
        ("images", "img-000", ["img-000", "image 0", "Self", "Linux", "123456", "2016-07-18 11:53:19Z"]),
        ("clusters", "cls-1", ["cls-1", "render", "Active"]),
        ("jobs", "job-1", ["job-1", "nightly", "Waiting"]),
        ("apps", "echo", ["echo", "Private"]),
    ],
)
def test_each_resource_is_a_table_and_a_record_is_shown_whole(
    fake: FakeBatch, page: Page, view: str, first: str, shown: list[str]
) -> None:
    turn_to(page, view)
    expect(rows(page).first).to_contain_text(first)
    assert rows(page).first.locator("td").all_inner_texts()[: len(shown)] == shown
    rows(page).first.get_by_role("button").first.click()
    written = Client(fake).get(f"/_fakebatch/{view}/{first}").json
    assert written
    assert json.loads(page.get_by_label("As a fixture file has it").input_value()) == written["record"]


def test_how_many_there_are_is_said_beside_each_view(fake: FakeBatch, page: Page) -> None:
    counts = {"images": "121", "clusters": "1", "jobs": "3", "apps": "1", "calls": "0", "script": "1", "progress": "1"}
    for view, count in counts.items():
        expect(page.locator(f"#count-{view}")).to_have_text(count)
    fake.images.remove("img-000")
    expect(page.locator("#count-images")).to_have_text("120")


def test_a_table_is_turned_by_its_buttons(page: Page) -> None:
    where, first = page.locator("#range"), rows(page).first
    expect(where).to_have_text("1 to 50 of 121")
    for name in ("First", "Previous"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    click(page, "Next")
    expect(where).to_have_text("51 to 100 of 121")
    expect(first).to_contain_text("img-050")
    click(page, "Next")
    expect(where).to_have_text("101 to 121 of 121")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    click(page, "Previous")
    expect(where).to_have_text("51 to 100 of 121")
    click(page, "Next")
    click(page, "First")
    expect(where).to_have_text("1 to 50 of 121")
    expect(first).to_contain_text("img-000")


def test_a_hundred_thousand_images_are_shown_and_searched_a_page_at_a_time(browser: Browser) -> None:
    with (
        FakeBatch(*(Image(id=f"img-{number:06}") for number in range(100_000)), control=True) as fake,
        opened(browser, fake) as page,
    ):
        expect(page.locator("#range")).to_have_text("1 to 50 of 100,000")
        click(page, "Next")
        expect(rows(page).first).to_contain_text("img-000050")
        page.get_by_label("Filter").fill("099")
        expect(page.locator("#range")).to_have_text("1 to 50 that fit, of 100,000")
        expect(rows(page).first).to_contain_text("img-000099")
        assert rows(page).count() == 50
        page.get_by_label("Filter").fill("img-09999")
        expect(page.locator("#range")).to_have_text("1 to 10 that fit, of 100,000")
        page.get_by_label("Filter").fill("nothing")
        expect(rows(page)).to_have_text(["Nothing that fits the filter."])


def test_what_is_shown_is_text(page: Page) -> None:
    page.get_by_label("Filter").fill("img-other")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(
        "<script>window.wasRun = true</script><img src=x onerror='window.wasRun = true'>"
    )
    assert page.evaluate("window.wasRun") is None


def test_a_view_has_an_address(browser: Browser, fake: FakeBatch) -> None:
    with opened(browser, fake, "script") as page:
        expect(page.get_by_role("heading", name="Script")).to_be_visible()
        expect(page.locator("nav a[aria-current=page]")).to_contain_text("Script")
        turn_to(page, "jobs")
        page.go_back()
        expect(page.get_by_role("heading", name="Script")).to_be_visible()


def test_a_world_without_anything_is_said_to_be_so(browser: Browser) -> None:
    with FakeBatch(Image(id="img-a"), control=True) as fake:
        fake.images.remove("img-a")
        with opened(browser, fake) as page:
            expect(rows(page)).to_have_text(["No images."])
            for view, text in {
                "calls": "No call yet.",
                "script": "No step: all goes as it should.",
                "progress": "No rule: all goes on as it does by default.",
                "events": "No event.",
            }.items():
                turn_to(page, view)
                expect(rows(page, view)).to_have_text([text])


# Records


def test_a_record_is_added_replaced_and_removed(fake: FakeBatch, page: Page) -> None:
    click(page, "Add an image…")
    text = page.get_by_label("As in a fixture file: YAML or JSON")
    text.fill("Id: aaa\nNmae: mine\n")
    click(page, "Add")
    expect(complaint(page, "dialog")).to_have_text("line 2, column 1 Nmae: unknown key 'Nmae'; did you mean 'Name'?")
    click(page, "line 2, column 1")
    expect(text).to_be_focused()
    assert text.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)") == "Nmae:"
    text.fill("Id: aaa\nName: mine\n")
    click(page, "Add")
    said(page, "Added.")
    assert fake.images["aaa"].name == "mine"

    click(page, "Show image aaa")
    text = page.get_by_label("As a fixture file has it")
    text.fill(text.input_value().replace("mine", "another"))
    click(page, "Save")
    said(page, "Saved aaa.")
    expect(rows(page).first).to_contain_text("another")
    assert fake.images["aaa"].name == "another"

    click(page, "Show image aaa")
    click(page, "Remove")
    said(page, "Removed aaa.")
    expect(rows(page).first).to_contain_text("img-000")
    assert "aaa" not in fake.images


def test_what_each_new_record_is_begun_with_can_be_added(fake: FakeBatch, page: Page) -> None:
    for view, button in {"images": "an image", "clusters": "a cluster", "jobs": "a job", "apps": "an app"}.items():
        turn_to(page, view)
        before = Client(fake).get(f"/_fakebatch/{view}").json
        click(page, f"Add {button}…")
        click(page, "Add")
        expect(page.get_by_role("dialog")).to_be_hidden()
        after = Client(fake).get(f"/_fakebatch/{view}").json
        assert before
        assert after
        assert after["total"] == before["total"] + 1


def test_what_can_t_be_done_to_a_record_is_said_in_its_dialog(fake: FakeBatch, page: Page) -> None:
    click(page, "Show image img-000")
    fake.images.remove("img-000")
    click(page, "Remove")
    expect(complaint(page, "dialog")).to_have_text("no image 'img-000'; the nearest is 'img-100'")
    click(page, "Close")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_an_id_of_any_characters_can_be_shown_and_removed(browser: Browser) -> None:
    with FakeBatch(Image(id="a b?c#d%e"), Image(id="other"), control=True) as fake, opened(browser, fake) as page:
        click(page, "Show image a b?c#d%e")
        click(page, "Remove")
        said(page, "Removed a b?c#d%e.")
        assert [image.id for image in fake.images] == ["other"]


# By hand


def test_a_job_is_advanced_in_its_row(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "jobs")
    advance = page.get_by_role("button", name="Advance job-1")
    for state in ("Running", "Running", "Finished"):
        advance.click()
        said(page, "Advanced job-1.")
        expect(rows(page).first).to_contain_text(state)
        page.locator("#said").evaluate("said => said.replaceChildren()")
    assert fake.jobs["job-1"].state == "Finished"
    expect(advance).to_have_count(0)
    fake.jobs.remove("job-2")
    page.route("**/jobs?*", lambda route: route.abort())  # the page is a moment behind
    click(page, "Advance job-2")
    expect(complaint(page, "records")).to_have_text("no job 'job-2'; the nearest is 'job-3'")


@pytest.mark.parametrize(("way", "state"), [("Finish", "Finished"), ("Stop", "Stopped"), ("Fail", "Failed")])
def test_a_job_is_ended_in_its_dialog(fake: FakeBatch, page: Page, way: str, state: str) -> None:
    fake.jobs.advance("job-1")
    turn_to(page, "jobs")
    click(page, "Show job job-1")
    page.get_by_label("with the message").fill("out of memory")
    click(page, way)
    said(page, f"job-1: {way.lower()}.")
    assert fake.jobs["job-1"].state == state
    assert json.loads(page.locator("#dialog-text").input_value())["State"] == state
    for button in ("Advance", "Finish", "Stop", "Fail"):
        expect(page.get_by_role("button", name=button, exact=True)).to_be_disabled()
    if way == "Fail":
        assert "out of memory" in json.dumps(Asking(fake).get("/jobs/job-1/tasks/first/instances/0"))


def test_a_job_is_advanced_in_its_dialog_until_it_has_gone(browser: Browser) -> None:
    with (
        FakeBatch(Job(id="job-1", auto_release=True, state="Running"), control=True) as fake,
        opened(browser, fake, "jobs") as page,
    ):
        click(page, "Show job job-1")
        click(page, "Advance")
        said(page, "job-1: advance.")
        assert json.loads(page.locator("#dialog-text").input_value())["State"] == "Finished"


def test_a_cluster_is_advanced(page: Page) -> None:
    turn_to(page, "clusters")
    click(page, "Advance cls-1")
    said(page, "Advanced cls-1.")
    click(page, "Show cluster cls-1")
    click(page, "Advance")
    expect(complaint(page, "dialog")).to_contain_text("no VM of cluster 'cls-1' is on its way")


# What was asked


def test_calls_are_shown_as_they_come_with_what_interfered(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "calls")
    ask = Client(fake)
    ask.get("/images?MaxItemCount=2")
    expect(rows(page, "calls")).to_have_count(1)
    ask.get("/images?MaxItemCount=2")
    ask.get("/<b>nothing</b>")
    expect(rows(page, "calls")).to_have_count(3)
    third, second, first = (row.locator("td").all_inner_texts() for row in rows(page, "calls").all())
    assert [first[0], *first[2:6]] == ["1", "ListImages", "GET /images?MaxItemCount=2", "200 2 items", ""]
    assert second[4] == "400 Throttling.User"
    assert second[5] == "world.yaml:11: on ListImages, calls 2: fail Throttling.User"
    assert third[2:5] == ["none", "GET /<b>nothing</b>", "400 InvalidUrlPattern"]
    click(page, "Show call 2, ListImages")
    shown = json.loads(page.get_by_label("All that is known of it").input_value())
    assert (shown["parameters"], shown["code"]) == ({"MaxItemCount": "2"}, "Throttling.User")
    for name in ("Save", "Remove"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_hidden()
    click(page, "Close")


def test_a_dropped_connection_and_a_state_are_shown(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "calls")
    fake.on("GetImage").drop("before")
    Client(fake).get("/jobs/job-1")
    with pytest.raises(ConnectionError):
        Client(fake).get("/images/img-001")
    Client(fake).delete("/images/img-001")
    expect(rows(page, "calls")).to_have_count(3)
    answers = [row.locator("td").nth(4).inner_text() for row in rows(page, "calls").all()]
    assert answers == ["204", "connection dropped", "200 Waiting (poll 1)"]


def test_calls_are_forgotten(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "calls")
    Client(fake).get("/images")
    expect(rows(page, "calls")).to_contain_text(["ListImages"])
    click(page, "Forget all calls")
    said(page, "Forgot all calls.")
    expect(rows(page, "calls")).to_have_text(["No call yet."])
    assert not fake.calls
    Client(fake).get("/images/img-001")
    expect(rows(page, "calls")).to_contain_text(["GetImage"])


def test_a_reset_by_somebody_else_is_seen(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "calls")
    for _ in range(3):
        Client(fake).get("/images")
    expect(rows(page, "calls")).to_have_count(3)
    fake.reset()
    Client(fake).get("/images/img-001")
    expect(rows(page, "calls")).to_have_count(1)
    expect(rows(page, "calls")).to_contain_text("GetImage")


def test_ten_thousand_calls_may_come_while_it_is_open(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "calls")
    client = Client(fake)
    for _ in range(10_000):
        client.get("/images/img-001")
    expect(page.locator("#calls-range")).to_have_text("The newest 500 of 10,000.")
    expect(rows(page, "calls").first.locator("td").first).to_have_text("10000")
    expect(rows(page, "calls")).to_have_count(500)
    click(page, "Reset")
    expect(rows(page, "calls")).to_have_text(["No call yet."])


# The script, progress, the clock, events


def test_a_step_is_added_used_and_removed(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "script")
    expect(rows(page, "script")).to_have_count(1)
    click(page, "Add step")
    said(page, "Added a step.")
    expect(rows(page, "script")).to_have_count(2)
    for _ in range(2):
        Client(fake).get("/images")
    expect(rows(page, "script").nth(0).locator("td").nth(3)).to_have_text("used")
    expect(rows(page, "script").nth(0)).to_contain_text("1world.yaml:11: on ListImages")
    second = rows(page, "script").nth(1).locator("td")
    assert second.all_inner_texts()[:4] == ["2", "control:1: on ListImages, calls 2: fail Throttling.User", "2", "used"]
    click(page, "Remove step 1")
    said(page, "Removed step 1.")
    expect(rows(page, "script")).to_have_count(1)
    assert [step.number for step in fake.world.script] == [2]


def test_what_is_wrong_with_a_step_is_said_beneath_it(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "script")
    page.get_by_label("Add a step").fill("on: ListImagse\nfail: InternalError")
    click(page, "Add step")
    expect(complaint(page, "step")).to_have_text(
        "line 1, column 5 on: 'ListImagse' is not an operation; did you mean 'ListImages'?"
    )
    click(page, "line 1, column 5")
    selected = "field => field.value.slice(field.selectionStart, field.selectionEnd)"
    assert page.get_by_label("Add a step").evaluate(selected) == "ListImagse"
    page.get_by_label("Add a step").fill("on: ListImages\nfail: InternalError")
    click(page, "Add step")
    expect(complaint(page, "step")).to_have_count(0)
    expect(rows(page, "script")).to_have_count(2)
    fake.world.remove_step(2)
    page.get_by_role("button", name="Remove step 2").click()
    expect(complaint(page, "script").or_(page.locator("#said", has_text="Removed step 2"))).to_be_visible()


def test_a_rule_of_progress_is_added_and_removed(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "progress")
    click(page, "Add rule")
    said(page, "Added a rule.")
    expect(rows(page, "progress")).to_have_count(2)
    expect(rows(page, "progress").first).to_contain_text("job nightly-*, waiting 1, running 3")
    click(page, "Remove rule 1")
    said(page, "Removed rule 1.")
    expect(rows(page, "progress")).to_have_count(1)
    assert [number for number, _ in fake.world.numbered_rules] == [2]
    page.get_by_label("Add a rule of progress").fill("job: [")
    click(page, "Add rule")
    expect(complaint(page, "rule")).to_contain_text("this is not YAML")


def test_the_clock_is_moved(browser: Browser) -> None:
    with (
        FakeBatch(Image(id="img-a"), control=True, clock=lambda: datetime(2026, 1, 1)) as fake,
        opened(browser, fake, "progress") as page,
    ):
        expect(page.locator("#now")).to_have_text("2026-01-01 00:00:00Z")
        page.get_by_label("Let it go on by").fill("90")
        click(page, "Advance clock")
        said(page, "The clock went on by 90 s.")
        expect(page.locator("#now")).to_have_text("2026-01-01 00:01:30Z")
        expect(page.locator("#advanced")).to_have_text("(advanced by 90 s)")
        assert fake.clock.advanced == 90
        page.get_by_label("Let it go on by").fill("9e99")
        click(page, "Advance clock")
        expect(complaint(page, "clock")).to_contain_text("a clock is advanced by 0 to ")


def test_events_are_shown(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "events")
    Asking(fake).create_job({**job(), "Notification": {"Topic": {"Events": ["OnJobWaiting"]}}})
    expect(rows(page, "events").first).to_contain_text("OnJobWaiting")
    expect(rows(page, "events").first).to_contain_text("JobId job-")


# The world


def test_it_is_reset(fake: FakeBatch, page: Page) -> None:
    fake.images.remove("img-000")
    turn_to(page, "calls")
    Client(fake).get("/images")
    expect(rows(page, "calls")).to_contain_text(["ListImages"])
    click(page, "Reset")
    said(page, "Reset to its fixtures.")
    expect(rows(page, "calls")).to_have_text(["No call yet."])
    assert ("img-000" in fake.images, len(fake.calls)) == (True, 0)


def drop(page: Page, **files: str) -> None:
    """Drop files, given by their names without their ends, on the page."""
    files = {f"{name}.yaml": text for name, text in files.items()}
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer()
            for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name))
            return transfer
        }""",
        files,
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()


def test_another_world_is_loaded_by_dropping_a_file(fake: FakeBatch, page: Page) -> None:
    click(page, "Next")
    drop(page, other="images: [{Id: img-dropped}]")
    said(page, "Loaded other.yaml.")
    expect(rows(page)).to_contain_text(["img-dropped"])
    assert [image.id for image in fake.images] == ["img-dropped"]


def test_what_is_wrong_with_a_file_is_said_with_its_place_and_changes_nothing(fake: FakeBatch, page: Page) -> None:
    drop(page, wrong="images: [{Id: 5}]\nimage: []\n")
    expect(complaint(page, "world").locator("li")).to_have_text(
        [
            "wrong.yaml:1:15 images[0].Id: expected a text, got the number 5; "
            'write "5" in quotes if that is what you mean',
            "wrong.yaml:2:1 image: unknown key 'image'; did you mean 'images'?",
        ]
    )
    assert len(fake.images) == 121
    drop(page, one="images: []", two="images: []")
    expect(complaint(page, "world")).to_have_text("one file at a time; name the others under include in it")
    drop(page, right="images: [{Id: img-dropped}]")
    expect(complaint(page, "world")).to_have_count(0)


def test_what_is_dragged_away_or_is_no_file_is_left_alone(page: Page) -> None:
    for kind, text in (("text/plain", "a text"), ("Files", "")):
        transfer = page.evaluate_handle(
            """([kind, text]) => {
                const transfer = new DataTransfer()
                if (kind === "Files") transfer.items.add(new File([text], "world.yaml"))
                else transfer.setData(kind, text)
                return transfer
            }""",
            [kind, text],
        )
        page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
        expect(page.locator("#drop")).to_be_visible(visible=kind == "Files")
        page.dispatch_event("body", "dragleave", {"dataTransfer": transfer})
        expect(page.locator("#drop")).to_be_hidden()


def test_another_world_is_loaded_by_choosing_a_file(fake: FakeBatch, page: Page, tmp_path: Path) -> None:
    path = tmp_path / "chosen.json"
    path.write_text('{"images": [{"Id": "img-chosen"}]}')
    with page.expect_file_chooser() as chooser:
        click(page, "Load a world…")
    chooser.value.set_files(path)
    said(page, "Loaded chosen.json.")
    expect(rows(page)).to_contain_text(["img-chosen"])
    assert [image.id for image in fake.images] == ["img-chosen"]


def test_the_world_is_saved_as_a_file_that_loads_again(fake: FakeBatch, page: Page, tmp_path: Path) -> None:
    fake.images.add(Image(id="img-added"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as YAML").click()
    assert download.value.suggested_filename == "world.yaml"
    download.value.save_as(tmp_path / "saved.yaml")
    assert list(FakeBatch(tmp_path / "saved.yaml").images) == list(fake.images)


# Whether somebody answers


def test_a_fake_that_goes_away_and_comes_back_is_shown(fake: FakeBatch, page: Page) -> None:
    turn_to(page, "calls")
    Client(fake).get("/images")
    expect(rows(page, "calls")).to_have_count(1)
    fake.stop()
    expect(page.locator("#state")).to_have_text("not answering; trying again")
    click(page, "Reset")
    expect(complaint(page, "world")).to_have_text("the fake does not answer; is it still running?")
    fake.images.remove("img-000")
    Client(fake).get("/images/img-001")
    fake.start()
    expect(page.locator("#state")).to_have_text("connected")
    expect(rows(page, "calls")).to_have_count(2)
    expect(page.locator("#count-images")).to_have_text("120")
    click(page, "Reset")
    expect(page.locator("#count-images")).to_have_text("121")
    expect(complaint(page, "world")).to_have_count(0)


def test_another_fake_at_the_same_address_is_shown(browser: Browser) -> None:
    with FakeBatch(Image(id="img-one"), control=True) as one:
        port = one.port
        with opened(browser, one) as page:
            expect(rows(page)).to_contain_text(["img-one"])
            one.stop()
            expect(page.locator("#state")).to_have_class("away")
            with FakeBatch(Image(id="img-two"), control=True, port=port):
                expect(rows(page)).to_contain_text(["img-two"])


def test_a_mistake_of_the_fake_s_own_is_shown(fake: FakeBatch, page: Page) -> None:
    broken = mock.Mock(side_effect=RuntimeError("broken"))
    with mock.patch.object(
        api, "ROUTES", [api.ROUTES[0], api.Route("GET", "/calls", ("after", "limit", "wait"), broken)]
    ):
        expect(page.locator("#state")).to_have_text("the fake itself failed: RuntimeError: broken")
    expect(page.locator("#state")).to_have_text("connected")
    assert fake.world.take_failures()


# Who uses it


def violations(page: Page) -> list[str]:
    """Return what axe-core, which is on the page, finds."""
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_using_it(browser: Browser, fake: FakeBatch, scheme: str) -> None:
    client = Client(fake)
    for path in ("/images", "/images", "/nothing", "/jobs/job-1"):
        client.get(path)
    Asking(fake).create_job({**job(), "Notification": {"Topic": {"Events": ["OnJobWaiting"]}}})
    with opened(browser, fake, color_scheme=scheme) as page:
        page.evaluate(axe())
        for view in VIEWS:
            turn_to(page, view)
            table = "records" if view in VIEWS[:4] else view
            expect(rows(page, table).first.locator("td").nth(1)).to_be_visible()
            assert violations(page) == []
        turn_to(page, "jobs")
        click(page, "Show job job-1")
        page.locator("#dialog-text").fill("Id: [")
        click(page, "Save")
        expect(complaint(page, "dialog")).to_be_visible()
        assert violations(page) == []
        click(page, "Close")
        turn_to(page, "calls")
        click(page, "Show call 1, ListImages")
        assert violations(page) == []
        click(page, "Close")
        drop(page, wrong="images: [{Id: 5}]")
        expect(complaint(page, "world")).to_be_visible()
        fake.stop()
        expect(page.locator("#state")).to_have_class("away")
        assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_that_a_person_has_chosen(browser: Browser, fake: FakeBatch, scheme: str) -> None:
    with opened(browser, fake, color_scheme=scheme) as page:
        red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        assert (int(red) > 128) == (scheme == "light")


def test_it_is_used_with_the_keyboard_alone(page: Page) -> None:
    page.locator("body").press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.locator("nav a[href='#jobs']").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_focused()
    expect(rows(page)).to_have_count(3)
    for _ in range(4):  # the filter, the button that adds one, the table, its first record
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show job job-1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Job job-1")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Show job job-1")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    said(page, "Advanced job-1.")
    expect(page.get_by_role("button", name="Advance job-1")).to_be_focused()  # though its table was written anew


def test_it_is_no_wider_than_a_telephone(browser: Browser, fake: FakeBatch) -> None:
    Client(fake).get(f"/images/{'x' * 500}")
    with opened(browser, fake, viewport={"width": 360, "height": 640}) as page:
        for view in VIEWS:
            turn_to(page, view)
            expect(rows(page, "records" if view in VIEWS[:4] else view).first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360


# Who may not use it


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of another's page: on this machine as well, so that no rule of the browser's is in its way."""
    with FakeBatch(Image(id="img-a")) as other:
        other.on("ListImages").reply(headers={"Content-Type": "text/html"}, body="<!doctype html><title>evil</title>")
        yield f"http://evil.example:{other.port}/images"


def test_a_page_of_another_origin_is_refused_whatever_it_tries(
    browser: Browser, fake: FakeBatch, elsewhere: str
) -> None:
    refusals: list[str] = []

    def refusal(*arguments: Any) -> str:
        refusals.append(access.refusal(*arguments))
        return refusals[-1]

    fake.images.remove("img-000")
    context = browser.new_context()
    page = context.new_page()
    page.goto(elsewhere)
    with mock.patch.object(api, "refusal", refusal):
        for mode, method, path in [
            ("cors", "GET", "/world"),
            ("no-cors", "POST", "/reset"),
            ("cors", "POST", "/reset"),
            ("cors", "PUT", "/world"),
        ]:
            refusals.clear()
            answered = page.evaluate(
                "([url, options]) => fetch(url, options).then(answer => answer.type, error => error.name)",
                [f"{fake.url}/_fakebatch{path}", {"method": method, "mode": mode}],
            )
            assert answered == "TypeError"
            assert all(
                "control answers to no page but its own, not to one of 'http://evil" in said for said in refusals
            )
            assert refusals
        with page.expect_navigation():
            page.evaluate(
                """url => {
                    const form = document.createElement("form")
                    Object.assign(form, {method: "POST", action: url, enctype: "text/plain"})
                    document.body.append(form)
                    form.submit()
                }""",
                f"{fake.url}/_fakebatch/reset",
            )
        assert "control answers to no page but its own" in page.content()
    assert "img-000" not in fake.images
    context.close()


def test_a_page_can_t_show_it_in_a_frame(browser: Browser, fake: FakeBatch, elsewhere: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(elsewhere)
    with page.expect_console_message(lambda message: "frame-ancestors 'none'" in message.text):
        page.evaluate(
            """url => {
                const frame = document.createElement("iframe")
                frame.src = url
                document.body.append(frame)
            }""",
            f"{fake.url}/_fakebatch/",
        )
    context.close()


def test_a_name_that_was_rebound_to_this_machine_is_refused(browser: Browser, fake: FakeBatch) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(f"http://rebound.example:{fake.port}/_fakebatch/")
    assert answer
    assert answer.status == 403
    assert "not to the host 'rebound.example:" in answer.text()
    fetched = page.evaluate("fetch('/_fakebatch/reset', {method: 'POST'}).then(answer => answer.status)")
    assert fetched == 403
    context.close()


def test_a_name_that_was_given_is_answered(browser: Browser) -> None:
    with FakeBatch(Cluster(id="cls-1"), control=True, control_hosts=["fakebatch.example"]) as fake:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://fakebatch.example:{fake.port}/_fakebatch/#clusters")
        click(page, "Reset")
        said(page, "Reset to its fixtures.")
        expect(rows(page)).to_contain_text(["cls-1"])
        context.close()
