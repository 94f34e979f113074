"""GetImage, CreateImage and DeleteImage: the tables of the service's reference, row by row."""

import io
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.test import Client, EnvironBuilder, TestResponse

from fakebatch import FakeBatch, Image

VALID = {"EcsImageId": "m-1", "Platform": "Linux"}
INVALID = "Specified parameter {} is not valid. {}"


def create(fake: FakeBatch, body: Any, query: str = "", **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(fake).post(f"/images{query}", data=data, headers=headers)


def refused(response: TestResponse) -> tuple[int, str, str]:
    assert response.json is not None
    return response.status_code, response.json["Code"], response.json["Message"]


@pytest.mark.parametrize("image_id", ["img-centos", "img-23jkhds"])
def test_get_image_returns_a_system_or_a_self_image(image_id: str) -> None:
    fake = FakeBatch()
    response = Client(fake).get(f"/images/{image_id}")
    image = fake.images[image_id]
    assert response.status_code == 200
    assert response.json == {
        "Id": image_id,
        "Name": image.name,
        "Description": image.description,
        "EcsImageId": image.ecs_image_id,
        "OwnerId": image.owner_id,
        "Platform": image.platform,
        "Type": image.type,
        "CreationTime": image.creation_time,
    }


@pytest.mark.parametrize("image_id", ["a/b", "/"])
def test_an_id_with_a_slash_could_not_be_asked_for(image_id: str) -> None:
    with pytest.raises(ValueError, match=r"^'.+' can't be asked for: an Id must not hold a slash$"):
        Image(id=image_id)


@pytest.mark.parametrize("image_id", ["a b", "镜像", "100%", "a?b", "a+b", "🚀"])
def test_an_id_may_hold_any_character_but_a_slash(image_id: str) -> None:
    fake = FakeBatch(Image(id=image_id))
    response = Client(fake).get("/images/" + "".join(f"%{byte:02X}" for byte in image_id.encode()))
    assert response.status_code == 200
    assert response.json is not None
    assert response.json["Id"] == image_id


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_image_that_is_not_there_is_not_found(client: Client, method: str) -> None:
    response = client.open("/images/img-nope", method=method)
    assert refused(response) == (404, "InvalidResource.NotFound", "Specified resource is not found.")


def test_create_image_answers_with_the_id_of_a_self_image_of_the_callers() -> None:
    fake = FakeBatch(clock=lambda: datetime(2017, 1, 2, 3, 4, 5, tzinfo=UTC))
    response = create(fake, {"Name": "mine", "Description": "夜间", "EcsImageId": "m-1", "Platform": "Windows"})
    assert response.status_code == 201
    assert response.json is not None
    assert list(response.json) == ["Id"]
    assert fake.images[response.json["Id"]] == Image(
        id=response.json["Id"],
        name="mine",
        description="夜间",
        ecs_image_id="m-1",
        owner_id=123456,
        platform="Windows",
        type="Self",
        creation_time="2017-01-02T03:04:05.000000Z",
    )


def test_a_missing_name_becomes_the_id() -> None:
    fake = FakeBatch()
    image_id = create(fake, VALID).get_json()["Id"]
    assert fake.images[image_id].name == image_id


def test_new_ids_are_unique_and_the_same_after_each_reset() -> None:
    fake = FakeBatch()
    first = [create(fake, VALID).get_json()["Id"] for _ in range(20)]
    assert len(set(first)) == 20
    assert all(image_id.startswith("img-") for image_id in first)
    fake.reset()
    assert [create(fake, VALID).get_json()["Id"] for _ in range(20)] == first


def test_a_new_id_is_never_one_that_is_there() -> None:
    fake = FakeBatch()
    taken = create(fake, VALID).get_json()["Id"]
    other = FakeBatch(Image(id=taken))
    assert create(other, VALID).get_json()["Id"] != taken


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "InvalidJsonFormat", "The request body has an invalid json format."),
        (b"{", "InvalidJsonFormat", "The request body has an invalid json format."),
        (b"{} {}", "InvalidJsonFormat", "The request body has an invalid json format."),
        (b'{"Name": NaN}', "InvalidJsonFormat", "The request body has an invalid json format."),
        (b"\xff", "InvalidJsonFormat", "The request body has an invalid json format."),
        (b'{"Name": "\\ud800"}', "InvalidJsonFormat", "The request body has an invalid json format."),
        (b"[" * 100_000, "InvalidJsonFormat", "The request body has an invalid json format."),
        (b"[]", "InvalidHttpBody", INVALID.format("HttpBody", "Its type must be object.")),
        (b"null", "InvalidHttpBody", INVALID.format("HttpBody", "Its type must be object.")),
        (b'"text"', "InvalidHttpBody", INVALID.format("HttpBody", "Its type must be object.")),
        ({**VALID, "Name": 5}, "InvalidName", INVALID.format("Name", "Its type must be string.")),
        ({**VALID, "Name": ""}, "InvalidName", INVALID.format("Name", "Its length must be in [1, 64].")),
        ({**VALID, "Name": "x" * 65}, "InvalidName", INVALID.format("Name", "Its length must be in [1, 64].")),
        *(
            (
                {**VALID, "Name": name},
                "InvalidName",
                INVALID.format(
                    "Name", "It must only contain characters within [a-zA-Z0-9_-], and must not start with [0-9]."
                ),
            )
            for name in ("1a", "a b", "a.b", "镜像", "a\n")
        ),
        ({**VALID, "Description": 5}, "InvalidDescription", INVALID.format("Description", "Its type must be string.")),
        ({"Platform": "Linux"}, "MissingEcsImageId", "EcsImageId is mandatory for this action."),
        ({"EcsImageId": "m-1"}, "MissingPlatform", "Platform is mandatory for this action."),
        ({**VALID, "EcsImageId": []}, "InvalidEcsImageId", INVALID.format("EcsImageId", "Its type must be string.")),
        ({**VALID, "EcsImageId": ""}, "MissingEcsImageId", "EcsImageId is mandatory for this action."),
        ({**VALID, "EcsImageId": None}, "MissingEcsImageId", "EcsImageId is mandatory for this action."),
        ({**VALID, "Platform": True}, "InvalidPlatform", INVALID.format("Platform", "Its type must be string.")),
        (
            {**VALID, "Platform": "linux"},
            "InvalidPlatform",
            INVALID.format("Platform", "It must be in [Linux, Windows]."),
        ),
        (
            {**VALID, "IdempotentToken": 5},
            "InvalidIdempotentToken",
            INVALID.format("IdempotentToken", "Its type must be string."),
        ),
    ],
)
def test_a_wrong_body_is_refused_and_creates_nothing(body: Any, code: str, message: str) -> None:
    fake = FakeBatch()
    assert refused(create(fake, body)) == (400, code, message)
    assert len(fake.images) == 4


@pytest.mark.parametrize("name", ["a", "_", "-", "x" * 64, "A_b-9"])
def test_a_name_within_the_rules_is_accepted(name: str) -> None:
    assert create(FakeBatch(), {**VALID, "Name": name}).status_code == 201


@pytest.mark.parametrize("token", ["8c3e2e62-e771-11f1-bac5-02fc00000001", "a%20b", "%E9%95%9C" * 64])
def test_a_token_may_hold_any_characters(token: str) -> None:
    fake = FakeBatch()
    first = create(fake, VALID, f"?IdempotentToken={token}")
    assert first.status_code == 201
    assert create(fake, VALID, f"?IdempotentToken={token}").json == first.json


def test_a_token_that_is_too_long_is_refused() -> None:
    message = "Its length must be in [0, 64]."
    response = create(FakeBatch(), VALID, f"?IdempotentToken={'x' * 65}")
    assert refused(response) == (400, "InvalidIdempotentToken", INVALID.format("IdempotentToken", message))


def test_the_same_token_and_parameters_answer_with_the_first_id_and_create_nothing() -> None:
    fake = FakeBatch()
    first = create(fake, VALID, "?IdempotentToken=t")
    again = create(fake, VALID, "?IdempotentToken=t")
    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert len(fake.images) == 5


def test_the_token_may_stand_in_the_body_as_well() -> None:
    fake = FakeBatch()
    first = create(fake, VALID, "?IdempotentToken=t")
    assert create(fake, {**VALID, "IdempotentToken": "t"}).json == first.json
    assert create(fake, {**VALID, "IdempotentToken": "t"}, "?IdempotentToken=t").json == first.json


def test_the_same_token_with_other_parameters_is_a_mismatch() -> None:
    fake = FakeBatch()
    create(fake, VALID, "?IdempotentToken=t")
    response = create(fake, {**VALID, "Name": "other"}, "?IdempotentToken=t")
    assert refused(response) == (400, "IdempotentTokenMismatch", "Specified idempotent token mismatch.")
    assert len(fake.images) == 5


@pytest.mark.parametrize("query", ["", "?IdempotentToken", "?IdempotentToken="])
def test_without_a_token_each_request_creates_an_image(query: str) -> None:
    fake = FakeBatch()
    assert create(fake, VALID, query).json != create(fake, VALID, query).json


def test_a_token_is_forgotten_by_a_reset() -> None:
    fake = FakeBatch()
    create(fake, VALID, "?IdempotentToken=t")
    fake.reset()
    assert create(fake, {**VALID, "Name": "other"}, "?IdempotentToken=t").status_code == 201


def test_of_two_requests_with_a_token_at_once_one_creates() -> None:
    fake = FakeBatch()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(fake, VALID, "?IdempotentToken=t").get_json()["Id"], range(64)))
    assert len(set(answers)) == 1
    assert len(fake.images) == 5


def test_a_body_of_256_kib_is_accepted_and_a_byte_more_is_not() -> None:
    limit = 256 * 1024
    body = json.dumps(VALID).encode()
    assert create(FakeBatch(), body.ljust(limit)).status_code == 201
    message = INVALID.format("HttpBody", "Its length must be in [0, 262144].")
    assert refused(create(FakeBatch(), body.ljust(limit + 1))) == (400, "InvalidHttpBody", message)


@pytest.mark.parametrize("bits", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_a_deflated_body_is_inflated(bits: int) -> None:
    deflater = zlib.compressobj(wbits=bits)
    data = deflater.compress(json.dumps({**VALID, "Name": "small"}).encode()) + deflater.flush()
    fake = FakeBatch()
    response = create(fake, data, **{"x-acs-compress-type": "deflate"})
    assert response.status_code == 201
    assert fake.images[response.get_json()["Id"]].name == "small"


def test_a_deflated_bomb_is_refused() -> None:
    bomb = zlib.compress(b" " * 200_000_000, 9)
    assert len(bomb) < 256 * 1024
    message = INVALID.format("HttpBody", "Its length must be in [0, 262144].")
    response = create(FakeBatch(), bomb, **{"x-acs-compress-type": "deflate"})
    assert refused(response) == (400, "InvalidHttpBody", message)


@pytest.mark.parametrize("data", [b"", b"{}", zlib.compress(b"{}")[:-4], b"\x00" * 20])
def test_what_claims_to_be_deflated_but_is_not_is_refused(data: bytes) -> None:
    message = INVALID.format("HttpBody", "It must be compressed with deflate.")
    response = create(FakeBatch(), data, **{"x-acs-compress-type": "deflate"})
    assert refused(response) == (400, "InvalidHttpBody", message)


def test_delete_image_removes_it_and_answers_with_no_body() -> None:
    fake = FakeBatch()
    response = Client(fake).delete("/images/img-23jkhds")
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    assert "Content-Length" not in response.headers
    assert "img-23jkhds" not in fake.images
    assert Client(fake).get("/images/img-23jkhds").status_code == 404


def test_a_system_image_is_not_the_callers_to_delete() -> None:
    fake = FakeBatch()
    response = Client(fake).delete("/images/img-centos")
    message = "User not authorized to operate on the specified resource."
    assert refused(response) == (403, "Forbidden", message)
    assert "img-centos" in fake.images


def test_a_body_with_a_request_that_has_none_is_ignored() -> None:
    client = Client(FakeBatch())
    assert client.get("/images", data=b"not json").status_code == 200
    assert client.delete("/images/img-23jkhds", data=b"[").status_code == 204


def test_an_id_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match=r"^an Id must not be empty$"):
        Image(id="")


def test_a_body_that_ends_early_is_refused_under_any_server() -> None:
    environ = EnvironBuilder("/images", method="POST", input_stream=io.BytesIO(b"{}")).get_environ()
    environ["CONTENT_LENGTH"] = "5"
    answers: list[str] = []
    body = FakeBatch()(environ, lambda status, *_: answers.append(status))  # type: ignore[arg-type]  # nobody writes
    assert (answers, b"It ended before its announced length." in b"".join(body)) == (["400 Bad Request"], True)


def test_an_operation_is_one_change_that_no_other_thread_comes_between() -> None:
    free: list[bool] = []

    def clock() -> datetime:  # CreateImage asks for the time before it adds the image
        with ThreadPoolExecutor(1) as pool:
            free.append(pool.submit(fake.world.lock.acquire, blocking=False).result())
            if free[-1]:
                pool.submit(fake.world.lock.release).result()
        return datetime.now(UTC)

    fake = FakeBatch(clock=clock)
    assert create(fake, VALID).status_code == 201
    assert False in free


def test_a_null_counts_as_absent() -> None:
    fake = FakeBatch()
    created = create(fake, {**VALID, "Name": None, "Description": None})
    assert created.status_code == 201
    image_id = created.get_json()["Id"]
    assert (fake.images[image_id].name, fake.images[image_id].description) == (image_id, "")
