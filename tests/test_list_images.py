"""ListImages: the tables of the service's reference, row by row."""

import json
from typing import Any

import pytest
from effort import EFFORT
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from fakebatch import FakeBatch, Image

MESSAGE = "Specified parameter MaxItemCount is not valid. "


def page(fake: FakeBatch, query: str = "") -> dict[str, Any]:
    response = Client(fake).get(f"/images?{query}")
    assert response.status_code == 200, response.text
    assert response.json is not None
    return dict(response.json)


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["Id"] for item in answer["Items"]]


def numbered(*numbers: int) -> list[str]:
    return [f"img-{number:04}" for number in numbers]


def test_a_page_has_fifty_images_unless_told_otherwise(paging: FakeBatch) -> None:
    answer = page(paging)
    assert ids(answer) == numbered(*range(50))
    assert answer["NextMarker"] == "img-0050"


@pytest.mark.parametrize("count", [1, 7, 99, 100])
def test_max_item_count_is_the_size_of_the_page(paging: FakeBatch, count: int) -> None:
    answer = page(paging, f"MaxItemCount={count}")
    assert ids(answer) == numbered(*range(count))
    assert answer["NextMarker"] == f"img-{count:04}"


def test_the_marker_is_the_first_image_of_its_page(paging: FakeBatch) -> None:
    answer = page(paging, "Marker=img-0041&MaxItemCount=3")
    assert ids(answer) == numbered(41, 42, 43)
    assert answer["NextMarker"] == "img-0044"


def test_the_last_page_has_an_empty_next_marker(paging: FakeBatch) -> None:
    answer = page(paging, "Marker=img-0118")
    assert ids(answer) == numbered(118, 119)
    assert answer["NextMarker"] == ""


def test_a_page_that_ends_at_the_last_image_is_the_last(paging: FakeBatch) -> None:
    answer = page(paging, "Marker=img-0020&MaxItemCount=100")
    assert len(answer["Items"]) == 100
    assert answer["NextMarker"] == ""


def test_a_page_of_no_items_names_the_image_at_which_it_would_have_begun(paging: FakeBatch) -> None:
    assert page(paging, "MaxItemCount=0") == {"NextMarker": "img-0000", "Items": []}
    assert page(paging, "MaxItemCount=0&Marker=img-0041") == {"NextMarker": "img-0041", "Items": []}
    assert page(paging, "MaxItemCount=0&Marker=img-9") == {"NextMarker": "", "Items": []}


def test_a_marker_that_names_no_image_begins_at_the_next_one(paging: FakeBatch) -> None:
    paging.images.remove("img-0041")
    assert ids(page(paging, "Marker=img-0041&MaxItemCount=2")) == numbered(42, 43)
    assert ids(page(paging, "Marker=img-00411&MaxItemCount=1")) == numbered(42)
    assert ids(page(paging, "Marker=a&MaxItemCount=1")) == numbered(0)


def test_a_marker_of_the_other_type_begins_at_the_next_image_of_the_type_asked_for() -> None:
    fake = FakeBatch(Image(id="a"), Image(id="b", type="System"), Image(id="c"))
    assert ids(page(fake, "Marker=b")) == ["c"]
    assert ids(page(fake, "Marker=a&Type=System")) == ["b"]


def test_a_marker_past_the_end_gives_an_empty_last_page(paging: FakeBatch) -> None:
    assert page(paging, "Marker=img-9999") == {"NextMarker": "", "Items": []}


def test_a_world_without_images_gives_an_empty_last_page(empty: FakeBatch) -> None:
    assert page(empty) == {"NextMarker": "", "Items": []}


@pytest.mark.parametrize("query", ["", "Type=Self", "Type=", "Type", "Type=self", "Type=All", "Type=System,Self"])
def test_self_images_are_listed_unless_system_images_are_asked_for(query: str) -> None:
    assert ids(page(FakeBatch(), query)) == ["img-23jkhds"]


def test_system_images_are_listed_when_asked_for() -> None:
    assert ids(page(FakeBatch(), "Type=System")) == ["img-centos", "img-ubuntu", "img-windows"]


@pytest.mark.parametrize(
    "query", ["Marker&MaxItemCount=100&Type", "Marker=&Type=&MaxItemCount=100", "MaxItemCount=100"]
)
def test_a_bare_key_an_empty_value_and_none_mean_the_same(paging: FakeBatch, query: str) -> None:
    assert ids(page(paging, query)) == numbered(*range(100))


def test_of_a_parameter_given_twice_the_first_counts(paging: FakeBatch) -> None:
    assert ids(page(paging, "MaxItemCount=1&MaxItemCount=x&Marker=img-0003&Marker=img-0009")) == numbered(3)


def test_parameters_that_the_operation_does_not_have_are_ignored(paging: FakeBatch) -> None:
    assert ids(page(paging, "RegionId=cn-qingdao&MaxItemCount=1&marker=img-0003")) == numbered(0)


@pytest.mark.parametrize("count", ["0007", "00", "-0", "000000000000000000000000000100"])
def test_leading_zeros_are_digits_like_others(paging: FakeBatch, count: str) -> None:
    assert len(page(paging, f"MaxItemCount={count}")["Items"]) == int(count)


@pytest.mark.parametrize(
    "count", ["", "x", "1.0", "1e1", "0x10", "+5", "%205", "5%20", "--5", "1_0", "%D9%A3", "%EF%BC%95", "true", "5%00"]
)
def test_max_item_count_must_be_an_integer(paging: FakeBatch, count: str) -> None:
    response = Client(paging).get(f"/images?MaxItemCount={count}")
    assert response.status_code == 400
    assert response.json == {"Code": "InvalidMaxItemCount", "Message": MESSAGE + "Its type must be integer."}


@pytest.mark.parametrize("count", ["-1", "101", "-100", "9" * 5000, "-" + "9" * 5000])
def test_max_item_count_must_be_from_0_to_100(paging: FakeBatch, count: str) -> None:
    response = Client(paging).get(f"/images?MaxItemCount={count}")
    assert response.status_code == 400
    assert response.json == {"Code": "InvalidMaxItemCount", "Message": MESSAGE + "It must be in [0, 100]."}


def test_a_bare_max_item_count_is_the_empty_value_and_so_no_integer(paging: FakeBatch) -> None:
    response = Client(paging).get("/images?MaxItemCount")
    assert response.json == {"Code": "InvalidMaxItemCount", "Message": MESSAGE + "Its type must be integer."}


def test_an_image_has_the_fields_of_the_reference_in_its_order(client: Client) -> None:
    response = client.get("/images?Type=System&MaxItemCount=1")
    assert json.loads(response.text)["Items"] == [
        {
            "Id": "img-centos",
            "Name": "Centos-6.5-x64",
            "Description": "Centos 6.5 64位,python 2.6.6",
            "EcsImageId": "m-28rvocix1",
            "OwnerId": 0,
            "Platform": "Linux",
            "Type": "System",
            "CreationTime": "2016-10-31T06:55:33.921878Z",
        }
    ]


@pytest.mark.parametrize(
    ("image_id", "name", "platform", "ecs_image_id", "time", "description"),
    [
        (
            "img-centos",
            "Centos-6.5-x64",
            "Linux",
            "m-28rvocix1",
            "2016-10-31T06:55:33.921878Z",
            "Centos 6.5 64位,python 2.6.6",
        ),
        (
            "img-ubuntu",
            "ubuntu-14.04-x64",
            "Linux",
            "m-28lyfn0tr",
            "2016-10-31T06:55:33.921890Z",
            "Ubuntu 14.04 64位, python 2.7, jdk 1.7, Docker 1.10.1",
        ),
        (
            "img-windows",
            "Windows-Server-2008-R2-x64",
            "Windows",
            "m-281zatqcs",
            "2016-10-31T06:55:33.921897Z",
            "Windows Server 2008 R2 企业版 64位 中文",
        ),
    ],
)
def test_the_default_catalogue_has_the_system_images_of_the_reference(
    image_id: str, name: str, platform: str, ecs_image_id: str, time: str, description: str
) -> None:
    image = FakeBatch().images[image_id]
    assert (image.name, image.platform, image.ecs_image_id, image.creation_time, image.description) == (
        name,
        platform,
        ecs_image_id,
        time,
        description,
    )
    assert (image.type, image.owner_id) == ("System", 0)


def test_the_default_catalogue_has_the_self_image_of_the_reference(client: Client) -> None:
    assert client.get("/images").json == {
        "NextMarker": "",
        "Items": [
            {
                "Id": "img-23jkhds",
                "Name": "Usr-Image",
                "Description": "Image Description",
                "EcsImageId": "m-32dsf3f",
                "OwnerId": 123456,
                "Platform": "Linux",
                "Type": "Self",
                "CreationTime": "2016-07-18T11:53:19.110809Z",
            }
        ],
    }


def test_text_is_sent_as_utf_8_and_not_escaped(client: Client) -> None:
    response = client.get("/images?Type=System")
    assert "企业版 64位 中文".encode() in response.data
    assert b"\\u" not in response.data


def test_json_is_compact(client: Client) -> None:
    assert client.get("/images?MaxItemCount=0").data == b'{"NextMarker":"img-23jkhds","Items":[]}'


def test_ids_are_ordered_as_unicode_strings() -> None:
    names = ["Z", "a", "a-", "a0", "é", "镜", "\ue000", "🚀"]
    fake = FakeBatch(*(Image(id=name) for name in reversed(names)))
    assert ids(page(fake)) == names == sorted(names)


def test_a_marker_may_hold_any_character() -> None:
    fake = FakeBatch(*(Image(id=name) for name in ("a b", "a+b", "a&b=c", "镜像", "🚀")))
    assert ids(page(fake, "Marker=%F0%9F%9A%80")) == ["🚀"]
    assert ids(page(fake, "Marker=a%2Bb&MaxItemCount=1")) == ["a+b"]
    assert ids(page(fake, "Marker=a+b&MaxItemCount=2")) == ["a b", "a&b=c"]


_image_ids = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=6)


@given(st.dictionaries(_image_ids, st.sampled_from(["Self", "System"]), max_size=40), st.integers(1, 100))
def test_any_walk_returns_every_image_of_the_type_once_in_order(catalogue: dict[str, Any], count: int) -> None:
    fake = FakeBatch(
        *(Image(id=image_id, type=image_type) for image_id, image_type in catalogue.items()), Image(id="z" * 9)
    )
    client = Client(fake)
    for image_type in ("Self", "System"):
        walked: list[str] = []
        marker = ""
        while True:
            query = {"Marker": marker, "MaxItemCount": str(count), "Type": image_type}
            answer = client.get("/images", query_string=query).json
            assert answer is not None
            walked += ids(answer)
            marker = answer["NextMarker"]
            if not marker:
                break
        assert walked == [image.id for image in fake.images if image.type == image_type]


@settings(max_examples=200 * EFFORT)
@given(
    st.sets(st.integers(0, 60), max_size=40),
    st.integers(1, 7),
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=60),
)
def test_a_walk_neither_repeats_nor_skips_while_images_come_and_go(
    there: set[int], count: int, changes: list[tuple[bool, int]]
) -> None:
    fake = FakeBatch(Image(id="z"), *(Image(id=f"img-{number:04}") for number in there))
    fake.images.remove("z")
    always = {image.id for image in fake.images}
    ever = set(always)
    walked: list[str] = []
    marker = ""
    while True:
        answer = page(fake, f"Marker={marker}&MaxItemCount={count}")
        walked += ids(answer)
        marker = answer["NextMarker"]
        if not marker:
            break
        for add, number in changes[:5]:
            name = f"img-{number:04}"
            if add and name not in fake.images:
                fake.images.add(Image(id=name))
                ever.add(name)
            elif not add and name in fake.images:
                fake.images.remove(name)
                always.discard(name)
        del changes[:5]
    assert walked == sorted(set(walked))
    assert always <= set(walked) <= ever
