"""The page of the control interface, in a real Chromium."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import launching
from werkzeug.test import Client

from fakebatch import FakeBatch, Image
from fakebatch.service.baseline import load

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route

pytestmark = pytest.mark.browser

WORLD = """\
images:
  - {Id: "<script>x", Name: "<b>bold"}
  - {Id: "img-{n:06}", repeat: 3}
jobs:
  - {Id: job-a, Name: nightly, State: Waiting}
  - {Id: job-b, Name: nightly, State: Running}
clusters: [{Id: cls-a, Name: render, Groups: {workers: {DesiredVMCount: 2}}}]
apps: [{Name: echo, CommandLine: "echo ${text}", InputParameters: {text: {Type: String}}}]
progress: [{job: "*", waiting: 30s, running: 2h}]
script: [{on: ListImages, calls: 2, fail: Throttling.User}]
"""
VIEWS = ("Calls", "Script", "Progress", "Images", "Clusters", "Jobs", "Apps", "Events")
FOREVER = 30_000.0  # in milliseconds


@pytest.fixture(scope="module")
def launch() -> "Iterator[Callable[..., Browser]]":
    with launching() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser(launch: "Callable[..., Browser]") -> "Iterator[Browser]":
    with launch() as started:
        yield started


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    with browser.new_context(viewport={"width": 1200, "height": 800}) as opened:
        opened.set_default_timeout(FOREVER)
        yield opened


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds") / "world.yaml"
    path.write_text(WORLD, encoding="utf-8")
    return path


@pytest.fixture
def fake(world: Path) -> Iterator[FakeBatch]:
    with FakeBatch(world, control=True) as started:
        yield started


@pytest.fixture
def crowded(world: Path) -> FakeBatch:
    """A fake of 100,000 images."""
    return FakeBatch(world, *(Image(id=f"img-{number:06}") for number in range(3, 100_000)), control=True)


@pytest.fixture
def page(context: "BrowserContext", fake: FakeBatch) -> "Iterator[Page]":
    """The page. Whatever the browser complains of fails the test: a script's error, a violated policy."""
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.goto(f"{fake.url}/_fakebatch/")
    opened.get_by_role("tab", name="Calls").wait_for()
    yield opened
    opened.close()
    # The browser itself notes each answer that is an error, and each connection that fails.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def view(page: "Page", name: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.get_by_role("heading", name=name).wait_for()


def button(page: "Page", name: str) -> "Locator":
    return page.get_by_role("button", name=name, exact=True)


def alert(page: "Page", text: str) -> None:
    """Wait until an error with this text is shown."""
    page.get_by_role("alert").filter(has_text=text).wait_for()


def cell(page: "Page", text: str) -> "Locator":
    return page.get_by_role("cell", name=text, exact=True)


def dialog_is_closed(page: "Page") -> None:
    page.get_by_role("dialog").wait_for(state="hidden")


def test_what_is_shown_is_text(page: "Page") -> None:
    view(page, "Images")
    cell(page, "<script>x").wait_for()
    cell(page, "<b>bold").wait_for()
    assert page.locator("b").count() == 0


def test_a_strict_policy_lets_only_its_own_script_run(context: "BrowserContext", fake: FakeBatch) -> None:
    page = context.new_page()
    answer = page.goto(f"{fake.url}/_fakebatch/")
    assert answer
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.head.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None


def test_100000_images_are_paged_and_filtered(context: "BrowserContext", crowded: FakeBatch) -> None:
    page = context.new_page()
    with crowded:
        page.goto(f"{crowded.url}/_fakebatch/")
        pages_and_filters(page)
    assert len(crowded.calls) == 0


def pages_and_filters(page: "Page") -> None:
    view(page, "Images")
    page.get_by_text("100,001").wait_for()
    assert button(page, "Back").is_disabled()
    button(page, "Next").click()
    cell(page, "img-000049").first.wait_for()
    button(page, "Back").click()
    cell(page, "<script>x").wait_for()
    page.get_by_label("Filter the images").fill("099999")
    cell(page, "img-099999").first.wait_for()
    cell(page, "img-000000").first.wait_for(state="detached")
    page.get_by_label("Filter the images").fill("nowhere")
    page.get_by_text("None has this text.").wait_for()


def test_a_record_is_added_replaced_and_removed(page: "Page", fake: FakeBatch) -> None:
    view(page, "Images")
    button(page, "Add ...").click()
    area = page.get_by_label("The record, as a fixture file has it")
    area.fill("Id: img-000000")
    button(page, "Add").click()
    alert(page, "there is 'img-000000' in images already; PUT replaces it")
    area.fill("Id: '!mine'\nPlatform: linux")
    button(page, "Add").click()
    alert(page, "line 2, column 11: Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?")
    area.fill("{Id: '!mine', Name: first}")
    button(page, "Add").click()
    dialog_is_closed(page)
    button(page, "!mine").click()
    assert json.loads(area.input_value())["Name"] == "first"
    area.fill("{Id: '!mine', Name: second}")
    button(page, "Replace").click()
    cell(page, "second").wait_for()
    assert fake.images["!mine"].name == "second"
    button(page, "!mine").click()
    button(page, "Remove").click()
    cell(page, "second").wait_for(state="detached")
    assert "!mine" not in fake.images
    button(page, "Add ...").click()
    button(page, "Close").click()
    dialog_is_closed(page)


@pytest.mark.parametrize(
    ("key", "move", "state"),
    [
        ("job-a", "Advance", "Running"),
        ("job-b", "Advance", "Finished"),
        ("job-a", "Finish", "Finished"),
        ("job-a", "Fail", "Failed"),
        ("job-b", "Stop", "Stopped"),
    ],
)
def test_a_job_is_moved_by_hand(page: "Page", fake: FakeBatch, key: str, move: str, state: str) -> None:
    view(page, "Jobs")
    button(page, key).click()
    if move == "Fail":
        page.get_by_label("Message of the failure").fill("no more credit")
    button(page, move).click()
    dialog_is_closed(page)
    cell(page, state).first.wait_for()
    assert fake.jobs[key].state == state
    assert fake.jobs[key].message == ("no more credit" if move == "Fail" else "")


def test_what_has_ended_is_not_moved(page: "Page", fake: FakeBatch) -> None:
    fake.jobs.finish("job-a")
    view(page, "Jobs")
    button(page, "job-a").click()
    button(page, "Stop").click()
    alert(page, "job-a")


def test_the_vms_of_a_cluster_are_advanced(page: "Page", fake: FakeBatch) -> None:
    view(page, "Clusters")
    button(page, "cls-a").click()
    button(page, "Advance").click()
    dialog_is_closed(page)
    assert fake.clusters["cls-a"].metrics.RunningCount == 2


def test_steps_are_added_and_removed_and_what_was_used_is_told(page: "Page", fake: FakeBatch) -> None:
    view(page, "Script")
    page.get_by_label("A step", exact=True).fill("{on: ListImage, fail: Throttling}")
    button(page, "Add the step").click()
    alert(page, "line 1, column 6: on: 'ListImage' is not")
    page.get_by_label("A step", exact=True).fill("{on: GetImage, fail: Throttling}")
    button(page, "Add the step").click()
    button(page, "Remove step 2").wait_for()
    assert page.get_by_label("A step", exact=True).input_value() == ""
    assert page.get_by_text("used", exact=True).count() == 0
    assert Client(fake).get("/images/img-000001").status_code == 400
    page.get_by_text("used", exact=True).wait_for()
    button(page, "Remove step 2").click()
    button(page, "Remove step 2").wait_for(state="detached")
    assert len(fake.world.script) == 1


def test_rules_are_added_and_removed_and_the_clock_goes_on(page: "Page", fake: FakeBatch) -> None:
    view(page, "Progress")
    page.get_by_label("A rule", exact=True).fill("{job: x, waiting: soon}")
    button(page, "Add the rule").click()
    alert(page, "'soon'")
    page.get_by_label("A rule", exact=True).fill("{job: x, waiting: forever}")
    button(page, "Add the rule").click()
    button(page, "Remove rule 2").click()
    button(page, "Remove rule 2").wait_for(state="detached")
    page.get_by_label("Seconds").fill("90")
    button(page, "Advance the clock").click()
    page.get_by_text("90 s ahead of its own").wait_for()
    assert fake.clock.advanced == 90
    page.get_by_label("Seconds").fill("1e300")
    button(page, "Advance the clock").click()
    page.get_by_role("alert").filter(has_text=re.compile(".")).wait_for()


def test_calls_are_shown_as_they_come_with_what_interfered(page: "Page", fake: FakeBatch) -> None:
    page.get_by_text("Nothing was asked yet.").wait_for()
    client = Client(fake)
    for _ in range(2):
        client.get("/images?MaxItemCount=3")
    cell(page, "400 Throttling.User").wait_for()
    page.get_by_role("cell").filter(has_text="world.yaml:10: on ListImages, calls 2: fail Throttling.User").wait_for()
    cell(page, "200 3 items").wait_for()
    page.get_by_label("Filter the calls").fill("Throttling")
    cell(page, "200 3 items").wait_for(state="detached")
    button(page, "GET /images?MaxItemCount=3").click()
    assert json.loads(page.get_by_label("The call", exact=True).input_value())["code"] == "Throttling.User"
    page.keyboard.press("Escape")
    dialog_is_closed(page)
    page.get_by_label("Filter the calls").fill("")
    button(page, "Clear").click()
    page.get_by_text("Nothing was asked yet.").wait_for()
    assert len(fake.calls) == 0


def test_10000_calls_may_arrive_while_it_is_open(page: "Page", fake: FakeBatch) -> None:
    client = Client(fake)
    for _ in range(10_000):
        client.get("/images/img-000001")
    page.get_by_text("the newest 300 of 10,000").wait_for()
    cell(page, "10000").wait_for()
    assert page.get_by_role("row").count() == 301


def test_reset_returns_to_the_fixtures(page: "Page", fake: FakeBatch) -> None:
    Client(fake).get("/images")
    fake.images.remove("img-000000")
    cell(page, "ListImages").wait_for()
    button(page, "Reset").click()
    page.get_by_text("Nothing was asked yet.").wait_for()
    assert "img-000000" in fake.images


def test_another_world_is_loaded_with_the_keyboard_or_by_dropping_it(page: "Page", fake: FakeBatch) -> None:
    view(page, "Images")
    load_file = page.get_by_label("Load a world ...")
    load_file.set_input_files({"name": "w.yaml", "mimeType": "", "buffer": b"images:\n  - {Id: img-x, Type: Selfish}"})
    alert(page, "line 2, column 23: images[0].Type: 'Selfish' is not one of 'Self', 'System'")
    assert len(fake.images) == 4
    load_file.set_input_files({"name": "w.yaml", "mimeType": "", "buffer": b"images: [{Id: img-chosen}]"})
    cell(page, "img-chosen").first.wait_for()
    transfer = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(['{"images": [{"Id": "img-dropped"}]}'], "w.json"));
            return transfer;
        }"""
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    cell(page, "img-dropped").first.wait_for()
    assert [image.id for image in fake.images] == ["img-dropped"]


def test_the_world_is_saved_as_a_file_that_loads(page: "Page", tmp_path: Path) -> None:
    with page.expect_download() as download:
        button(page, "Save the world").click()
    assert download.value.suggested_filename == "world.yaml"
    download.value.save_as(tmp_path / "saved.yaml")
    saved = load(tmp_path / "saved.yaml")
    assert len(saved.records["images"]) == 4
    assert len(saved.progress) == 1


def test_the_server_may_go_away_and_come_back(page: "Page", fake: FakeBatch) -> None:
    fake.stop()
    page.get_by_text("The server does not answer; trying again ...").wait_for()
    button(page, "Reset").click()
    alert(page, "The server does not answer")
    fake.start()
    page.get_by_text("Version").wait_for()
    Client(fake).get("/images")
    cell(page, "ListImages").first.wait_for()


def test_notifications_are_shown(page: "Page", fake: FakeBatch) -> None:
    view(page, "Events")
    page.get_by_text("Nobody would have been notified.").wait_for()
    task = {"Parameters": {"Command": {"CommandLine": "x"}}, "AutoCluster": {"InstanceType": "a"}}
    body = {
        "Name": "told",
        "Type": "DAG",
        "Notification": {"Topic": {"Name": "t", "Endpoint": "e", "Events": ["OnJobFinished"]}},
        "DAG": {"Tasks": {"t": task}},
    }
    job_id = (Client(fake).post("/jobs", json=body).json or {})["Id"]
    fake.jobs.finish(job_id)
    page.get_by_role("cell").filter(has_text="OnJobFinished").wait_for()


def test_it_can_be_used_with_the_keyboard_alone(page: "Page") -> None:
    page.get_by_role("tab", name="Calls").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("tab", name="Events").get_attribute("aria-selected") == "true"
    page.keyboard.press("ArrowLeft")
    button(page, "Add ...").wait_for()
    button(page, "echo").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="echo").wait_for()
    page.keyboard.press("Escape")
    dialog_is_closed(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_view(page: "Page", fake: FakeBatch, scheme: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    page.emulate_media(color_scheme=scheme)
    for path in ("/images", "/images", "/images/x", "/nothing"):
        Client(fake).get(path)
    cell(page, "400 Throttling.User").wait_for()

    def faults() -> list[str]:
        return [fault["id"] for fault in axe.run(page).response["violations"]]

    for name in VIEWS:
        view(page, name)
        assert (name, faults()) == (name, [])
    view(page, "Script")
    page.get_by_label("A step", exact=True).fill("{on: ListImage}")
    button(page, "Add the step").click()
    alert(page, "ListImage")
    assert faults() == []
    view(page, "Jobs")
    button(page, "job-a").click()
    button(page, "Replace").wait_for()
    assert faults() == []


def test_what_has_the_focus_keeps_it_while_calls_come(page: "Page", fake: FakeBatch) -> None:
    view(page, "Jobs")
    button(page, "job-b").focus()
    for number, key in enumerate(("job-a", "job-b")):  # the table is drawn anew each time
        fake.jobs.finish(key)
        Client(fake).get("/jobs")
        cell(page, "Finished").nth(number).wait_for()
        assert page.evaluate("document.activeElement.textContent") == "job-b"
    view(page, "Calls")
    cell(page, "2").wait_for()
    button(page, "GET /jobs").last.focus()
    Client(fake).get("/jobs")
    cell(page, "3").wait_for()
    assert page.evaluate("document.activeElement.closest('tr').cells[0].textContent") == "1"


def test_a_table_that_stays_as_it_is_is_not_drawn_anew(page: "Page", fake: FakeBatch) -> None:
    view(page, "Images")
    drawn = page.get_by_role("table").element_handle()
    with page.expect_response("**/_fakebatch/images?*"):
        Client(fake).get("/images/img-000001")
    with page.expect_response("**/_fakebatch/images?*"):
        Client(fake).get("/images/img-000001")
    assert drawn.evaluate("table => table.isConnected")


def test_an_answer_that_comes_too_late_is_not_shown(page: "Page") -> None:
    view(page, "Images")
    late: list[Route] = []
    page.route(re.compile("text=bold"), lambda route: late.append(route))  # it must be a function of Python's own
    search = page.get_by_label("Filter the images")
    search.fill("bold")
    while not late:
        page.wait_for_timeout(10)
    search.fill("img-000001")
    cell(page, "<script>x").wait_for(state="detached")
    with page.expect_response(re.compile("text=bold")):
        late[0].continue_()
    page.evaluate("new Promise(resolve => setTimeout(resolve))")  # by then it would be shown
    assert cell(page, "img-000001").first.is_visible()


def test_no_call_is_missed_after_a_reset_between_two_looks(page: "Page", fake: FakeBatch) -> None:
    client = Client(fake)
    held: list[Route] = []
    for _ in range(3):
        client.get("/images/img-000001")
    cell(page, "3").wait_for()
    page.route("**/calls?after=*", lambda route: route.continue_() if held else held.append(route))
    client.get("/images/img-000001")  # ends the look that is under way
    while not held:
        page.wait_for_timeout(10)
    fake.reset()
    client.get("/images/img-000002")
    held[0].continue_()
    client.get("/images/img-000002")
    button(page, "GET /images/img-000002").nth(1).wait_for()
    assert button(page, "GET /images/img-000001").count() == 0


# Who may


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another origin on this machine, with an empty page."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_page_can_neither_read_nor_change_anything(
    context: "BrowserContext", fake: FakeBatch, elsewhere: str
) -> None:
    fake.on("any").fail("Throttling")
    page = context.new_page()
    page.goto(elsewhere)
    asked = """async ([url, options]) => {
        try { return (await fetch(url, options)).status; } catch (error) { return error.name; }
    }"""
    reset = f"{fake.url}/_fakebatch/reset"
    assert page.evaluate(asked, [f"{fake.url}/_fakebatch/world", {}]) == "TypeError"
    assert page.evaluate(asked, [reset, {"method": "POST"}]) == "TypeError"
    assert page.evaluate(asked, [reset, {"method": "POST", "mode": "no-cors"}]) == "TypeError"
    form = """url => {
        const form = Object.assign(document.createElement("form"), {method: "post", action: url});
        document.body.append(form);
        form.submit();
    }"""
    with page.expect_response(reset) as answer:
        page.evaluate(form, reset)
    assert answer.value.status == 403
    assert len(fake.world.script) == 2


def test_a_rebound_name_leads_to_a_refusal(launch: "Callable[..., Browser]", fake: FakeBatch) -> None:
    with launch("--host-resolver-rules=MAP evil.example 127.0.0.1") as browser:
        page = browser.new_page()
        answer = page.goto(f"http://evil.example:{fake.port}/_fakebatch/")
        assert answer
        assert answer.status == 403
        assert "'evil.example:" in page.inner_text("body")
