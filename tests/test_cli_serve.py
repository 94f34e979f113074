"""`fakebatch serve`: what it serves and prints, and how it begins and ends."""

import json
import re
import shlex
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import pytest
from command_line import FAKEBATCH, line, rest, run, serving
from waiting import FOREVER

from fakebatch import FakeBatch
from fakebatch.cli.reload import Reload
from fakebatch.cli.worlds import mistakes

ACCOUNTS = r"""
accounts:
  - {AccessKeyId: alice-key, AccessKeySecret: 'alice"s\secret', OwnerId: 1001}
  - {AccessKeyId: bob-key, AccessKeySecret: bob-secret, OwnerId: 1002}
images:
  - {Id: img-alice, OwnerId: 1001}
  - {Id: img-bob, OwnerId: 1002}
"""


def image_ids(url: str, kind: str = "Self") -> list[str]:
    with urllib.request.urlopen(f"{url}/images?Type={kind}", timeout=FOREVER) as response:
        return [image["Id"] for image in json.load(response)["Items"]]


def follow(hint: str) -> str:
    """Do what a hint for the SDK says, in a process of its own, and return the Ids of the images that it lists."""
    program = (
        "import os; from batchcompute import Client; from batchcompute.utils import constants\n"
        f"*before, client = {hint!r}.removeprefix('SDK:').strip().split('; ')\n"
        "exec('; '.join(before))\n"
        "print([image.Id for image in eval(client).list_images('', 10).Items])"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=FOREVER, check=True).stdout.strip()


def test_its_hints_work() -> None:
    with serving(hints=0) as (_, process):
        sdk, curl = line(process.stdout), line(process.stdout)
        assert follow(sdk) == "['img-23jkhds']"
        asked = urllib.request.urlopen(shlex.split(curl)[-1], timeout=FOREVER)
        with asked:
            assert len(json.load(asked)["Items"]) == 2


def test_with_accounts_the_hint_is_the_first_one_s_and_none_must_fail() -> None:
    with serving("-", stdin=ACCOUNTS, hints=0) as (_, process):
        assert follow(line(process.stdout)) == "['img-alice']"
        assert line(process.stdout).startswith("page: ")
        process.send_signal(signal.SIGINT)
        assert re.fullmatch(r"\S+ GET /images\?Marker&MaxItemCount=10 -> 200 1 item .*\n", rest(process.stdout))


def control_health(url: str, host: str) -> int:
    request = urllib.request.Request(f"{url}/_fakebatch/health", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=FOREVER) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_can_be_controlled_and_by_other_names_if_they_are_given() -> None:
    with serving("--control-host", "fakebatch", "--control-host", "other.example") as (url, _):
        with urllib.request.urlopen(f"{url}/_fakebatch/", timeout=FOREVER) as page:
            assert b"<title>fakebatch</title>" in page.read()
        names = ("localhost", "fakebatch:80", "OTHER.example", "evil.example")
        assert [control_health(url, name) for name in names] == [200, 200, 200, 403]


def test_without_control_there_is_nothing_to_control() -> None:
    with serving("--no-control", hints=2) as (url, process):
        assert control_health(url, "localhost") == 400
        process.send_signal(signal.SIGINT)
        assert "page:" not in rest(process.stdout)


def test_the_page_answers_at_the_address_that_is_printed() -> None:
    with serving("--host", "127.1") as (url, _):  # as a name has it, that is looked up
        assert control_health(url, "127.1:80") == 200


@pytest.mark.parametrize("command", [("serve",), ("run", "--", "true")])
def test_a_control_host_is_for_control(command: tuple[str, ...]) -> None:
    name, *others = command
    served = run(name, "--no-control", "--control-host", "fakebatch", *others)
    assert served.returncode == 2
    assert served.stderr.endswith(f"fakebatch {name}: error: --control-host is for control; leave --no-control out\n")


def test_a_control_host_is_a_name() -> None:
    served = run("serve", "--control-host", "fakebatch:80")
    assert served.returncode == 2
    assert served.stderr.endswith(
        "argument --control-host: a host name such as fakebatch, without a port, not 'fakebatch:80'\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "localhost"])
def test_with_tls_the_certificate_is_good_for_the_address(host: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    with serving("--tls", "--ca", ca, "--host", host, hints=1) as (url, process):
        assert url.startswith("https://")
        assert line(process.stdout).startswith(f"curl: curl --cacert {ca} '{url}/images")
        context = ssl.create_default_context(cafile=str(ca))
        with urllib.request.urlopen(f"{url}/images", context=context, timeout=FOREVER) as response:
            assert response.status == 200


def test_with_tls_the_hints_work_without_a_file_as_well() -> None:
    with serving("--tls", hints=0) as (url, process):
        sdk, curl = line(process.stdout), line(process.stdout)
        assert follow(sdk) == "['img-23jkhds']"
        ca = re.search(r"--cacert (\S+) ", curl)
        assert ca
        with urllib.request.urlopen(url + "/images", context=ssl.create_default_context(cafile=ca[1])) as response:
            assert response.status == 200


def test_a_certificate_that_can_t_be_written_is_an_error(tmp_path: Path) -> None:
    result = run("serve", "--port", "0", "--tls", "--ca", tmp_path / "no" / "ca.pem")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"fakebatch: {tmp_path}/no/ca.pem: No such file or directory\n"


def test_quiet_says_only_where_it_is() -> None:
    with serving("--quiet", hints=0) as (url, process):
        image_ids(url)
        process.send_signal(signal.SIGINT)
        assert (rest(process.stdout), rest(process.stderr)) == ("", "")


def test_files_and_what_comes_on_stdin_are_one_world(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("images: [{Id: img-1}]")
    (tmp_path / "two.yaml").write_text("images: [{Id: img-2}]")
    with serving("one.yaml", "-", stdin="include: [two.yaml]\nimages: [{Id: img-3}]", cwd=tmp_path) as (url, _):
        assert image_ids(url) == ["img-1", "img-2", "img-3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images: [{Id: a, Platfrm: Linux}]", "-:1:18: images[0].Platfrm: unknown key 'Platfrm'; did you mean"),
        ("{", "-:2:1: this is not YAML: "),
    ],
)
def test_what_is_wrong_with_what_comes_on_stdin_is_said_with_its_place(text: str, said: str) -> None:
    result = run("serve", "-", "--port", "0", stdin=text)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(said)


def test_ctrl_c_ends_it_at_once_while_a_large_file_loads() -> None:
    entries = "".join(f"- {{Id: img-{number}}}\n" for number in range(100_000))
    command = [*FAKEBATCH, "serve", "-", "--port", "0"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        process.stdin.write(f"images:\n{entries}")
        process.stdin.close()  # a pipe has room for a part of it only: the rest has been read
        process.send_signal(signal.SIGINT)
        assert process.wait(FOREVER) == -signal.SIGINT
        assert (rest(process.stdout), rest(process.stderr)) == ("", "")


# --reload


def test_a_changed_file_is_shown_and_a_broken_one_is_reported(tmp_path: Path) -> None:
    inner = tmp_path / "inner.yaml"
    inner.write_text("images: [{Id: img-1}]")
    (tmp_path / "outer.yaml").write_text("include: [inner.yaml]")
    with serving("outer.yaml", "--reload", cwd=tmp_path) as (url, process):
        inner.write_text("images: [{Id: img-1}, {Id: img-2}]")
        assert line(process.stdout) == "Reloaded: 2 images"
        assert image_ids(url) == ["img-1", "img-2"]
        inner.write_text("images: [{Id: img-1}, {Id: img-1}]")
        assert line(process.stderr).startswith("inner.yaml:1:28: images[1].Id: 'img-1' is there already")
        assert line(process.stderr) == "fakebatch: the world stays as it was, until this is mended"
        assert image_ids(url) == ["img-1", "img-2"]
        inner.write_text("images: [{Id: img-3}]")
        while (said := line(process.stdout)) != "Reloaded: 1 image":
            assert "GET /images" in said
        assert image_ids(url) == ["img-3"]


class Reloading:
    """A fake whose files are looked at when a test says so."""

    def __init__(self, fixture: Path) -> None:
        self.said: list[str] = []
        self.complaints: list[str] = []
        self.reload = Reload([str(fixture)], b"")
        self.fake = FakeBatch(fixture)

    def follow(self) -> Self:
        self.reload.follow(self.fake, self.said.append, self.complaints.append)
        return self

    def look(self, times: int = 2) -> list[str]:
        for _ in range(times):
            self.reload.look()
        return [image.id for image in self.fake.images]


def write(path: Path, text: str) -> None:
    """Write a file anew, so that it can be told from the one before however fast the clock of its folder is."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def test_a_file_is_loaded_once_it_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text("images: [{Id: img-1}]")
    reloading = Reloading(path).follow()
    assert reloading.look() == ["img-1"]
    write(path, "images: [{Id: img-2}]")
    assert reloading.look(1) == ["img-1"]
    write(path, "images: [{Id: img-three}]")
    assert reloading.look(1) == ["img-1"]
    assert reloading.look(1) == ["img-three"]
    assert reloading.said == ["Reloaded: 1 image"]
    reloading.look(5)
    assert len(reloading.said) == 1


def test_a_file_that_changes_while_it_is_loaded_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text("images: [{Id: img-1}]")
    reloading = Reloading(path)
    write(path, "images: [{Id: img-2}]")
    reloading.follow()
    assert reloading.look() == ["img-2"]


def test_a_file_that_is_gone_is_reported_and_shown_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text("images: [{Id: img-1}]")
    reloading = Reloading(path).follow()
    path.unlink()
    assert reloading.look() == ["img-1"]
    assert len(reloading.complaints) == 1
    assert "there is no such file" in reloading.complaints[0]
    path.write_text("images: [{Id: img-2}]")
    assert reloading.look() == ["img-2"]


def test_files_that_a_change_includes_are_watched_from_then_on_and_others_no_more(tmp_path: Path) -> None:
    outer, one, two = (tmp_path / name for name in ("outer.yaml", "one.yaml", "two.yaml"))
    outer.write_text("include: [one.yaml]")
    one.write_text("images: [{Id: img-1}]")
    two.write_text("images: [{Id: img-2}]")
    reloading = Reloading(outer).follow()
    write(outer, "include: [two.yaml]")
    assert reloading.look() == ["img-2"]
    write(two, "images: [{Id: img-22}]")
    assert reloading.look() == ["img-22"]
    write(one, "images: [{Id: img-11}]")
    reloading.look()
    assert len(reloading.said) == 2


def test_a_broken_file_that_was_included_since_is_watched(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer.yaml", tmp_path / "inner.yaml"
    outer.write_text("images: [{Id: img-1}]")
    inner.write_text("images: {}")
    reloading = Reloading(outer).follow()
    write(outer, "include: [inner.yaml]")
    assert reloading.look() == ["img-1"]
    write(inner, "images: [{Id: img-2}]")
    assert reloading.look() == ["img-2"]


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / f"{name}.yaml").write_text(f"images: [{{Id: img-{name}}}]")
    link = tmp_path / "link.yaml"
    link.symlink_to("1.yaml")
    reloading = Reloading(link).follow()
    link.unlink()
    link.symlink_to("2.yaml")
    assert reloading.look() == ["img-2"]


def test_mistakes_of_its_own_are_told_in_a_line_each() -> None:
    fake = FakeBatch()
    fake.world.tell(ValueError("no\nline"))
    with pytest.raises(KeyError) as caught:
        fake.images["x"]
    fake.world.tell(caught.value)
    first, second = mistakes(fake.world)
    assert first == "fakebatch: this is a mistake of fakebatch's own: ValueError: no\\nline"
    assert re.fullmatch(r"fakebatch: this is a mistake of fakebatch's own: KeyError: .* \(collection\.py:\d+\)", second)
