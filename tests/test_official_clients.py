"""The official clients, over real sockets: in open mode, with the right secret, and with a wrong one."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from batchcompute import Client, ClientError
from batchcompute.resources import ImageDescription
from batchcompute.utils import constants
from checkout import FIXTURES
from generic_clients import KEY, SECRET, Ask, RefusedError, aliyun_core, aliyun_sdk, tea

from fakebatch import Account, FakeBatch, Image

STRANGE = "镜像 a+b&c=d%20~*"
"""An Id with everything that encodings of a query may disagree about. The last of the catalogue."""


class Images(NamedTuple):
    """The four operations through some client. Each raises RefusedError."""

    ids: Callable[[str, int], tuple[list[str], str]]
    """From a marker and a page size to the Ids and the next marker."""
    name: Callable[[str], str]
    create: Callable[[dict[str, str]], str]
    delete: Callable[[str], object]


def through_the_sdk(fake: FakeBatch, secret: str) -> Images:
    client = fake.sdk_client(KEY, secret)

    def checked(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except ClientError as error:
                raise RefusedError(error.get_status_code(), error.get_code(), error.get_msg()) from None

        return call

    def ids(marker: str, count: int) -> tuple[list[str], str]:
        page = client.list_images(marker, count)
        return [image.Id for image in page.Items], page.NextMarker

    return Images(
        checked(ids),
        checked(lambda image_id: client.get_image(image_id).Name),
        checked(lambda body: client.create_image(body).Id),
        checked(client.delete_image),
    )


def through_requests(ask: Ask) -> Images:
    """Return the operations through a generic client: a function from method, path, query and body to an answer."""

    def ids(marker: str, count: int) -> tuple[list[str], str]:
        page = ask("GET", "/images", {"Marker": marker, "MaxItemCount": str(count)})
        return [image["Id"] for image in page["Items"]], page["NextMarker"]

    return Images(
        ids,
        lambda image_id: str(ask("GET", f"/images/{image_id}")["Name"]),
        lambda body: str(ask("POST", "/images", {}, body)["Id"]),
        lambda image_id: ask("DELETE", f"/images/{image_id}"),
    )


def through_aliyun_core(fake: FakeBatch, secret: str) -> Images:
    return through_requests(aliyun_core(fake, secret))


def through_tea(fake: FakeBatch, secret: str) -> Images:
    return through_requests(tea(fake, secret))


def through_javascript(fake: FakeBatch, secret: str) -> Images:
    operate = aliyun_sdk(fake, secret)

    def ids(marker: str, count: int) -> tuple[list[str], str]:
        page = operate("listImages", Type="Self", Marker=marker, MaxItemCount=count)
        return [image["Id"] for image in page["Items"]], page["NextMarker"]

    return Images(
        ids,
        lambda image_id: str(operate("getImage", ImageId=image_id)["Name"]),
        lambda body: str(operate("createImage", **{"Name": "it-wants-one", **body})["Id"]),
        lambda image_id: operate("deleteImage", ImageId=image_id),
    )


Through = Callable[[FakeBatch, str], Images]
each_client = pytest.mark.parametrize(
    "through", [through_the_sdk, through_aliyun_core, through_tea, through_javascript]
)


@pytest.fixture(params=["open", "signed"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeBatch]:
    accounts = [Account(KEY, SECRET)] if request.param == "signed" else []
    with FakeBatch(FIXTURES / "paging.yaml", Image(id=STRANGE), accounts=accounts) as started:
        yield started


@each_client
def test_it_lists_every_image_in_pages(fake: FakeBatch, through: Through) -> None:
    images = through(fake, SECRET)
    listed: list[str] = []
    marker = ""
    while True:
        ids, marker = images.ids(marker, 7)
        listed += ids
        if not marker:
            break
    assert listed == [image.id for image in fake.images]


@each_client
def test_it_begins_at_a_marker_of_any_characters(fake: FakeBatch, through: Through) -> None:
    assert through(fake, SECRET).ids(STRANGE, 10) == ([STRANGE], "")


@pytest.mark.parametrize("through", [through_tea, through_javascript])  # the SDK refuses what is not ASCII there
def test_it_gets_an_image_of_any_characters(fake: FakeBatch, through: Through) -> None:
    fake.images.add(Image(id="镜像 a&b=d~*", name="strange"))
    assert through(fake, SECRET).name("镜像 a&b=d~*") == "strange"


@each_client
def test_it_gets_creates_and_deletes(fake: FakeBatch, through: Through) -> None:
    images = through(fake, SECRET)
    body = {"Name": "mine", "Description": "夜间", "EcsImageId": "m-1", "Platform": "Windows"}
    image_id = images.create(body)
    assert images.name(image_id) == "mine"
    created = fake.images[image_id]
    assert (created.name, created.description, created.ecs_image_id, created.platform) == tuple(body.values())
    images.delete(image_id)
    assert image_id not in fake.images


@each_client
def test_it_sees_what_it_did_wrong(fake: FakeBatch, through: Through) -> None:
    images = through(fake, SECRET)
    mistakes: list[tuple[Callable[[], object], int, str]] = [
        (lambda: images.name("img-nope"), 404, "InvalidResource.NotFound"),
        (lambda: images.delete("img-nope"), 404, "InvalidResource.NotFound"),
        (lambda: images.ids("", 101), 400, "InvalidMaxItemCount"),
        (lambda: images.create({"EcsImageId": "m-1", "Platform": "linux"}), 400, "InvalidPlatform"),
    ]
    for wrong, status, code in mistakes:
        with pytest.raises(RefusedError) as caught:
            wrong()
        assert (caught.value.status, caught.value.code) == (status, code)


@each_client
def test_without_accounts_any_secret_will_do(through: Through) -> None:
    with FakeBatch() as fake:
        assert through(fake, "anything").ids("", 10) == (["img-23jkhds"], "")


@each_client
def test_a_wrong_secret_is_refused_with_the_string_to_sign(through: Through) -> None:
    with FakeBatch(accounts=[Account(KEY, SECRET)]) as fake:
        images = through(fake, "wrong")
        requests: list[Callable[[], object]] = [
            lambda: images.ids("", 7),
            lambda: images.name("img-centos"),
            lambda: images.create({"EcsImageId": "m-1", "Platform": "Linux"}),
            lambda: images.delete("img-23jkhds"),
        ]
        for ask in requests:
            with pytest.raises(RefusedError) as caught:
                ask()
            assert (caught.value.status, caught.value.code) == (400, "SignatureDoesNotMatch")
            message = "Specified signature is not matched with our calculation. server string to sign is:"
            assert message in caught.value.message
            assert SECRET not in caught.value.message
        assert len(fake.images) == 4


@each_client
def test_an_unknown_key_is_refused(through: Through) -> None:
    with FakeBatch(accounts=[Account("another-key", SECRET)]) as fake, pytest.raises(RefusedError) as caught:
        through(fake, SECRET).ids("", 7)
    assert (caught.value.status, caught.value.code) == (404, "InvalidAccessKeyId.NotFound")


def test_the_sdk_s_error_has_status_code_request_id_and_message(fakebatch: FakeBatch) -> None:
    with pytest.raises(ClientError) as caught:
        fakebatch.sdk_client().get_image("img-nope")
    error = caught.value
    assert error.get_status_code() == 404
    assert error.get_code() == "InvalidResource.NotFound"
    assert error.get_msg() == "Specified resource is not found."
    assert error.get_requestid() == fakebatch.calls[-1].request_id


def test_the_sdk_takes_the_fields_of_an_image_as_they_are(fakebatch_client: Any) -> None:
    image = fakebatch_client.get_image("img-23jkhds")
    assert (image.Id, image.Name, image.Type, image.Platform) == ("img-23jkhds", "Usr-Image", "Self", "Linux")
    assert (image.OwnerId, image.EcsImageId, image.Description) == (123456, "m-32dsf3f", "Image Description")
    assert image.CreationTime.isoformat() == "2016-07-18T11:53:19.110809"


@pytest.mark.parametrize("form", [dict, lambda fields: json.dumps(fields), ImageDescription])
def test_the_sdk_creates_from_a_dict_a_text_or_a_description(
    fakebatch: FakeBatch, fakebatch_client: Any, form: Callable[[dict[str, str]], Any]
) -> None:
    fields = {"Name": "mine", "EcsImageId": "m-1", "Platform": "Linux"}
    created = fakebatch_client.create_image(form(fields), "token_1")
    assert fakebatch_client.create_image(form(fields), "token_1").Id == created.Id
    assert fakebatch_client.get_image(created).Name == "mine"
    assert fakebatch_client.delete_image(created).StatusCode == 204
    assert created.Id not in fakebatch.images


@pytest.mark.fakebatch(FIXTURES / "paging.yaml", images=[Image(id="img-system", type="System")])
def test_the_sdk_s_easy_list_pages_by_itself(fakebatch: FakeBatch, fakebatch_client: Any) -> None:
    assert len(list(fakebatch_client.easy_list("images"))) == 120
    assert [image.Id for image in fakebatch_client.easy_list("images", Name="nightly-build-7")] == ["img-0007"]
    assert len(fakebatch.calls) == 4


@pytest.mark.fakebatch(FIXTURES / "accounts.yaml")
def test_the_fixture_s_client_signs_as_the_first_account(fakebatch: FakeBatch, fakebatch_client: Any) -> None:
    assert [image.Id for image in fakebatch_client.list_images("", 9).Items] == ["img-23jkhds"]
    assert fakebatch.calls[0].access_key_id == "alice-key"


def test_the_sdk_s_settings_are_not_touched_and_clients_of_two_fakes_work_side_by_side(
    make_fakebatch: Callable[..., FakeBatch],
) -> None:
    before = (dict(constants.ENDPOINT_INFO), constants.SERVICE_PORT)
    one, two = make_fakebatch(Image(id="one")), make_fakebatch(Image(id="two"))
    clients = [one.sdk_client(), two.sdk_client()]
    listed = [[image.Id for image in client.list_images("", 9).Items] for client in clients]
    assert listed == [["one"], ["two"]]
    assert before == (constants.ENDPOINT_INFO, constants.SERVICE_PORT)


def test_the_sdk_can_be_pointed_by_its_own_means(fakebatch: FakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(constants.ENDPOINT_INFO, "here", "")
    monkeypatch.setattr(constants, "SERVICE_PORT", 80)
    Client.register_region("here", fakebatch.host, fakebatch.port)
    client = Client(fakebatch.host, "any", "any")
    assert [image.Id for image in client.list_images("", 9).Items] == ["img-23jkhds"]


def test_the_fixture_skips_where_the_sdk_is_missing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_sdk(fakebatch_client): pass")
    pytester.makeconftest("import sys\nsys.modules['batchcompute'] = None")
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the official SDK is not installed; install it with: pip install batchcompute*"])


def test_a_broken_sdk_is_an_error_and_no_skip(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it="def test_sdk(fakebatch_client): pass", batchcompute="import what_it_needs")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*No module named 'what_it_needs'"])


def test_the_sdk_sees_a_scripted_error(fakebatch: FakeBatch, fakebatch_client: Any) -> None:
    fakebatch.on("ListImages").fail("Throttling.User")
    with pytest.raises(ClientError) as caught:
        fakebatch_client.list_images("", 9)
    assert (caught.value.get_status_code(), caught.value.get_code()) == (400, "Throttling.User")


def test_the_sdk_sees_its_own_json_error_on_an_html_page(fakebatch: FakeBatch, fakebatch_client: Any) -> None:
    fakebatch.on("ListImages").reply(502, {"Content-Type": "text/html"}, "<h1>Bad Gateway</h1>")
    with pytest.raises(ClientError) as caught:
        fakebatch_client.list_images("", 9)
    assert caught.value.get_code() == "Json Error, a HTML returned from upstream server."


def test_the_sdk_sees_a_connection_error_on_a_drop(fakebatch: FakeBatch, fakebatch_client: Any) -> None:
    fakebatch.on("ListImages").drop()
    with pytest.raises(ConnectionResetError):
        fakebatch_client.list_images("", 9)
