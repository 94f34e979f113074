"""`FakeBatch` as a person uses it from Python: what it is made of, its images, and how it returns to its baseline."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from checkout import FIXTURES
from effort import EFFORT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from signing import sign
from werkzeug.test import Client, run_wsgi_app

import fakebatch
from fakebatch import Account, FakeBatch, FixtureError, Image


def ids(fake: FakeBatch) -> list[str]:
    return [image.id for image in fake.images]


def test_with_nothing_it_serves_the_default_catalogue() -> None:
    assert ids(FakeBatch()) == ["img-23jkhds", "img-centos", "img-ubuntu", "img-windows"]


def test_it_takes_paths_and_images_together() -> None:
    fake = FakeBatch(FIXTURES / "documented.yaml", Image(id="img-a"), str(FIXTURES / "paging.yaml"), Image(id="zzz"))
    assert len(fake.images) == 126
    assert ids(fake)[-1] == "zzz"


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^there is an image 'img-a' already; each Id must be unique$"):
        FakeBatch(Image(id="img-a"), Image(id="img-a", name="other"))
    with pytest.raises(ValueError, match=r"^there is an image 'img-centos' already"):
        FakeBatch(FIXTURES / "documented.yaml", Image(id="img-centos"))


def test_an_access_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^two accounts have the same access key Id; each must be unique$"):
        FakeBatch(accounts=[Account("a", "1"), Account("a", "2")])


def test_what_is_neither_a_path_nor_an_image_is_refused() -> None:
    with pytest.raises(
        TypeError,
        match=r"^expected the path of a fixture file or an Image or a Cluster or a Job or an App, got \['img-a'\]$",
    ):
        FakeBatch(["img-a"])  # type: ignore[arg-type]  # the mistake that is tested


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (Image(id="a", platform="linux"), "Invalid enum value 'linux' - at `$.Platform`"),  # type: ignore[arg-type]  # the mistake
        (Image(id="a", owner_id="5"), "Expected `int`, got `str` - at `$.OwnerId`"),  # type: ignore[arg-type]  # the mistake
        (Image(id="a", name=5), "Expected `str`, got `int` - at `$.Name`"),  # type: ignore[arg-type]  # the mistake
        (Image(id="\ud800"), "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"),
    ],
)
def test_an_image_with_a_wrong_value_is_refused_wherever_it_comes_in(image: Image, problem: str) -> None:
    with pytest.raises(TypeError) as caught:
        FakeBatch(image)
    assert str(caught.value) == f"not a valid Image: {problem}"
    with pytest.raises(TypeError) as caught:
        FakeBatch().images.add(image)
    assert str(caught.value) == f"not a valid Image: {problem}"
    with pytest.raises(TypeError) as caught:
        FakeBatch().on("ListImages").add(image)
    assert str(caught.value) == f"not a valid Image: {problem}"


def test_a_file_that_does_not_load_is_a_fixture_error(tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    path.write_text("images: [{Id: a, Platform: linux}]")
    with pytest.raises(FixtureError) as caught:
        FakeBatch(path)
    assert str(caught.value) == (
        f"{path}:1:28: images[0].Platform: 'linux' is not one of 'Linux', 'Windows'; did you mean 'Linux'?"
    )


def test_images_are_looked_up_by_id_and_iterated_in_its_order(paging: FakeBatch) -> None:
    assert paging.images["img-0007"].name == "nightly-build-7"
    assert "img-0007" in paging.images
    assert "img-7" not in paging.images
    assert len(paging.images) == 120
    assert ids(paging) == sorted(ids(paging))


def test_an_id_that_is_not_there_is_a_key_error_with_the_nearest_one(paging: FakeBatch) -> None:
    with pytest.raises(KeyError, match="no image 'img-007'; the nearest is 'img-0"):
        paging.images["img-007"]
    with pytest.raises(KeyError, match="no image 'img-007'"):
        paging.images.remove("img-007")
    with pytest.raises(KeyError, match="no image 'nothing like it'"):
        paging.images["nothing like it"]


def test_images_can_be_added_and_removed_while_it_runs() -> None:
    fake = FakeBatch()
    fake.images.add(Image(id="img-new"))
    fake.images.remove("img-23jkhds")
    assert Client(fake).get("/images").json == {
        "NextMarker": "",
        "Items": [
            {
                "Id": "img-new",
                "Name": "img-new",
                "Description": "",
                "EcsImageId": "m-32dsf3f",
                "OwnerId": 123456,
                "Platform": "Linux",
                "Type": "Self",
                "CreationTime": "2016-07-18T11:53:19.110809Z",
            }
        ],
    }


def test_adding_an_id_that_is_there_is_refused_and_changes_nothing() -> None:
    fake = FakeBatch()
    before = list(fake.images)
    with pytest.raises(ValueError, match=r"^there is an image 'img-centos' already; remove it first$"):
        fake.images.add(Image(id="img-centos", name="other"))
    assert list(fake.images) == before


def test_iterating_sees_one_moment(paging: FakeBatch) -> None:
    removed = 0
    for image in paging.images:
        paging.images.remove(image.id)
        removed += 1
    assert (removed, len(paging.images)) == (120, 0)


def test_reset_returns_to_the_fixtures(paging: FakeBatch) -> None:
    before = list(paging.images)
    for number in range(0, 120, 2):
        paging.images.remove(f"img-{number:04}")
    paging.images.add(Image(id="img-0000", name="other", type="System"))
    paging.images.add(Image(id="zzz"))
    Client(paging).get("/images")
    paging.reset()
    assert list(paging.images) == before
    assert len(paging.calls) == 0
    page = Client(paging).get("/images?MaxItemCount=100").get_json()
    assert [item["Id"] for item in page["Items"]] == [image.id for image in before[:100]]


def test_the_clock_may_be_naive_and_is_utc_then() -> None:
    fake = FakeBatch(clock=lambda: datetime(2017, 1, 2))
    image_id = Client(fake).post("/images", json={"EcsImageId": "m", "Platform": "Linux"}).get_json()["Id"]
    assert fake.images[image_id].creation_time == "2017-01-02T00:00:00.000000Z"


def test_it_is_a_wsgi_application() -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/images", "QUERY_STRING": "MaxItemCount=0"}
    setup_testing_defaults(environ)
    answered: list[Any] = []
    body = FakeBatch()(environ, lambda status, headers, _=None: answered.append((status, headers)))  # type: ignore[arg-type]  # nobody writes
    assert b"".join(body) == b'{"NextMarker":"img-23jkhds","Items":[]}'
    assert answered[0][0] == "200 OK"


def test_its_repr_says_where_it_is() -> None:
    fake = FakeBatch()
    assert repr(fake) == "<FakeBatch not started, 4 images>"
    with fake:
        assert repr(fake) == f"<FakeBatch {fake.url}, 4 images>"


def test_everything_public_is_importable_and_listed() -> None:
    for name in fakebatch.__all__:
        assert getattr(fakebatch, name).__name__ == name
    assert sorted(fakebatch.__all__) == fakebatch.__all__
    with pytest.raises(AttributeError, match=r"^module 'fakebatch' has no attribute 'FakeBach'$"):
        fakebatch.FakeBach  # type: ignore[attr-defined]  # noqa: B018 - to look it up is the test


def test_a_secret_is_not_in_the_repr_of_its_account() -> None:
    assert (
        repr(Account("the-id", "the-secret", 7)) == "Account(access_key_id='the-id', access_key_secret=..., owner_id=7)"
    )


@settings(max_examples=50 * EFFORT)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.sampled_from(["System", "Self"])), max_size=50))
def test_reset_undoes_any_changes(changes: list[tuple[bool, int, Any]]) -> None:
    fake = FakeBatch(*(Image(id=f"img-{number}", type="System" if number % 3 else "Self") for number in range(20)))
    before = list(fake.images)
    for add, number, image_type in changes:
        name = f"img-{number}"
        if add and name not in fake.images:
            fake.images.add(Image(id=name, type=image_type, name="changed"))
        elif not add and name in fake.images:
            fake.images.remove(name)
    fake.reset()
    assert list(fake.images) == before
    for image_type in ("System", "Self"):
        listed = Client(fake).get(f"/images?Type={image_type}").get_json()["Items"]
        assert [item["Id"] for item in listed] == [image.id for image in before if image.type == image_type]


class AgainstAPlainDict(RuleBasedStateMachine):
    """Two accounts create, get, list and delete; a dict of dicts says what they must see."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeBatch(FIXTURES / "accounts.yaml")
        self.system = {image.id for image in self.fake.images if image.type == "System"}
        self.model: dict[str, dict[str, str]] = {"alice-key": {}, "bob-key": {}}
        owners = {account.owner_id: key for key, account in self.fake.world.accounts.items()}
        for image in self.fake.images:
            if image.type == "Self":
                self.model[owners[image.owner_id]][image.id] = image.name
        self.gone: list[str] = []

    accounts = st.sampled_from(["alice-key", "bob-key"])

    def ask(self, key: str, method: str, target: str, body: Any = None) -> Any:
        secret = self.fake.world.accounts[key].access_key_secret
        return Client(self.fake).open(target, method=method, json=body, headers=sign(key, secret, method, target, body))

    @rule(key=accounts, name=st.from_regex(r"[a-z]{1,5}", fullmatch=True))
    def create(self, key: str, name: str) -> None:
        body = {"Name": name, "EcsImageId": "m-1", "Platform": "Linux"}
        response = self.ask(key, "POST", "/images", body)
        assert response.status_code == 201
        assert response.json["Id"] not in self.model["alice-key"] | self.model["bob-key"]
        self.model[key][response.json["Id"]] = name

    def known(self, data: st.DataObject) -> str:
        everything = [*self.system, *self.model["alice-key"], *self.model["bob-key"], *self.gone, "img-never"]
        return data.draw(st.sampled_from(sorted(everything)))

    @rule(key=accounts, data=st.data())
    def get(self, key: str, data: st.DataObject) -> None:
        image_id = self.known(data)
        response = self.ask(key, "GET", f"/images/{image_id}")
        if image_id in self.model[key]:
            assert (response.status_code, response.json["Name"]) == (200, self.model[key][image_id])
        else:
            assert response.status_code == (200 if image_id in self.system else 404)

    @rule(key=accounts, data=st.data())
    def delete(self, key: str, data: st.DataObject) -> None:
        image_id = self.known(data)
        response = self.ask(key, "DELETE", f"/images/{image_id}")
        if self.model[key].pop(image_id, None) is not None:
            assert response.status_code == 204
            self.gone.append(image_id)
        else:
            assert response.status_code == (403 if image_id in self.system else 404)

    @rule(key=accounts, image_type=st.sampled_from(["Self", "System"]), count=st.integers(1, 5))
    def walk(self, key: str, image_type: str, count: int) -> None:
        walked: list[str] = []
        marker = ""
        while True:
            target = f"/images?Marker={marker}&MaxItemCount={count}&Type={image_type}"
            page = self.ask(key, "GET", target).json
            walked += [item["Id"] for item in page["Items"]]
            marker = page["NextMarker"]
            if not marker:
                break
        assert walked == sorted(self.system if image_type == "System" else self.model[key])

    @initialize()
    def reset(self) -> None:
        self.fake.reset()

    @invariant()
    def nothing_else_is_there(self) -> None:
        assert set(ids(self.fake)) == {*self.system, *self.model["alice-key"], *self.model["bob-key"]}


AgainstAPlainDict.TestCase.settings = settings(
    AgainstAPlainDict.TestCase.settings, max_examples=25 * EFFORT, stateful_step_count=30
)
test_two_accounts_against_a_plain_dict = AgainstAPlainDict.TestCase


def asked(fake: FakeBatch, query: str) -> Any:
    """List images without werkzeug's client, in which the threads would spend most of their time."""
    environ: dict[str, Any] = {"PATH_INFO": "/images", "QUERY_STRING": query}
    setup_testing_defaults(environ)
    body, status, _ = run_wsgi_app(fake, environ)
    assert status == "200 OK"
    return json.loads(b"".join(body))


def stress(fake: FakeBatch, number: int) -> None:
    """Create, walk and delete, fifty times."""
    client = Client(fake)
    for _ in range(50):
        created = client.post("/images", json={"EcsImageId": "m-1", "Platform": "Linux"})
        assert created.status_code == 201
        walked: list[str] = []
        marker = ""
        while True:
            page = asked(fake, f"Marker={marker}&MaxItemCount={number + 1}")
            walked += [item["Id"] for item in page["Items"]]
            marker = page["NextMarker"]
            if not marker:
                break
        assert walked == sorted(set(walked))
        assert created.get_json()["Id"] in walked
        assert client.delete(f"/images/{created.get_json()['Id']}").status_code == 204


def test_sixteen_threads_at_once_leave_a_consistent_world(paging: FakeBatch) -> None:
    before = list(paging.images)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet at the worst moments
    try:
        with ThreadPoolExecutor(16) as pool:
            for worker in [pool.submit(stress, paging, number) for number in range(16)]:
                worker.result()
    finally:
        sys.setswitchinterval(interval)
    assert list(paging.images) == before
    assert not [call for call in paging.calls if call.status >= 500]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": "8080"}, "port is a number from 0 (a free one) to 65535, not '8080'"),
        ({"port": True}, "port is a number from 0 (a free one) to 65535, not True"),
        ({"host": None}, "host is a text such as '127.0.0.1', not None"),
        ({"clock": 5}, "clock is a function that returns a datetime, not 5"),
        ({"on_call": "log"}, "on_call is a function that is called with each Call, not 'log'"),
        ({"accounts": ["s3cret"]}, "expected an Account, got a str"),
        ({"accounts": [("id", "s3cret")]}, "expected an Account, got a tuple"),
        ({"accounts": [{"AccessKeySecret": "s3cret"}]}, "expected an Account, got a dict"),
        (
            {"accounts": {"id": "s3cret"}},
            'accounts is a list such as [Account("an-id", "a-secret")], not a dict',
        ),
        (
            {"accounts": Account("id", "s3cret")},
            'accounts is a list such as [Account("an-id", "a-secret")], not an Account',
        ),
        ({"accounts": None}, 'accounts is a list such as [Account("an-id", "a-secret")], not a NoneType'),
        (
            {"accounts": [Account("", "", -5)]},
            "not a valid Account: Expected `str` of length >= 1 - at `$.AccessKeyId`",
        ),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        FakeBatch(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Image(id="a", creation_time=5),  # type: ignore[arg-type]  # the mistake
            "a time is a text such as '2016-10-31T06:55:33.921878Z', not 5",
        ),
        (lambda: Image(Id="a"), "Image has no field 'Id'; did you mean 'id'?"),  # type: ignore[call-arg]  # the mistake
        (lambda: Image(id="a", EcsImageID="m"), "Image has no field 'EcsImageID'; did you mean 'ecs_image_id'?"),  # type: ignore[call-arg]  # the mistake
        (
            lambda: Account(key="a"),  # type: ignore[call-arg]  # the mistake
            "Account has no field 'key'; known are access_key_id, access_key_secret, owner_id",
        ),
    ],
)
def test_a_field_that_a_record_does_not_have_is_refused_with_the_one_that_was_meant(make: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == message


def test_what_is_no_image_is_refused_with_what_it_is() -> None:
    with pytest.raises(TypeError, match=r"^expected an Image, got 'x'$"):
        FakeBatch().images.add("x")  # type: ignore[arg-type]  # the mistake that is tested


@pytest.mark.parametrize(("host", "address"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
def test_the_url_of_a_fake_on_all_addresses_is_one_that_can_be_connected_to(host: str, address: str) -> None:
    with FakeBatch(host=host) as fake:
        assert fake.host == host
        assert fake.url == f"http://{address}:{fake.port}"
        assert [image.Id for image in fake.sdk_client().list_images("", 1, "System").Items] == ["img-centos"]
        assert fake.calls[0].host == address


def test_a_fake_that_is_not_started_has_no_url_for_hasattr() -> None:
    fake = FakeBatch()
    assert not hasattr(fake, "url")
    with fake:
        assert hasattr(fake, "url")


def test_the_default_owner_can_be_told_from_the_same_number_given_on_purpose() -> None:
    assert Image(id="a", type="System").owner_id == 0
    assert Image(id="a").owner_id == 123456
    with pytest.raises(ValueError, match=r"^a System image belongs to OwnerId 0, not 123456; leave OwnerId out$"):
        Image(id="a", type="System", owner_id=123456)


def test_a_value_that_a_test_has_changed_in_place_is_as_before_after_a_reset(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text("images: [{Id: a}]\nexpect: {ids: [a]}")
    fake = FakeBatch(path)
    fake.expect["ids"].append("b")
    assert fake.expect == {"ids": ["a", "b"]}
    fake.reset()
    assert fake.expect == {"ids": ["a"]}


def test_the_default_catalogue_is_what_the_fixture_file_has() -> None:
    assert list(FakeBatch().images) == list(FakeBatch(FIXTURES / "documented.yaml").images)


def test_a_collection_reads_as_how_many_there_are() -> None:
    assert repr(FakeBatch().images) == "<4 images>"
    one = FakeBatch(Image(id="a"))
    assert repr(one.images) == "<1 image>"
    one.images.discard("a")
    one.images.discard("a")  # one that is not there is passed over
    assert repr(one.images) == "<0 images>"


def test_a_record_in_the_place_of_a_key_is_a_mistake_and_not_an_absence() -> None:
    fake = FakeBatch(Image(id="img-a"))
    for mistake in (lambda: fake.images["img-a"] in fake.images, lambda: fake.images.discard(5)):  # type: ignore[arg-type]  # the mistake
        with pytest.raises(TypeError, match="an image is looked up by its key, a text, not "):
            mistake()
