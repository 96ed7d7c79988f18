"""Addresses of stores: a folder, a bucket with its service, or a name from store.yaml."""

from pathlib import Path

import pytest

from harness.errors import DataFileError, UsageError
from harness.stores import addresses
from harness.stores.addresses import CHOICES, Bucket, resolve, services


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable, and a place for a store.yaml."""
    monkeypatch.delenv(addresses.VARIABLE, raising=False)
    monkeypatch.setattr(addresses, "SETTINGS", tmp_path / "store.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store.yaml"


def bucket(address: str) -> Bucket:
    place = resolve(address)
    assert isinstance(place, Bucket)
    return place


def test_without_any_word_it_is_a_folder_of_the_checkout() -> None:
    assert resolve() == addresses.DEFAULT


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolve("./shared") == tmp_path / "shared"
    assert resolve("~/shared") == tmp_path / "home" / "shared"
    (tmp_path / "there").mkdir()
    assert resolve("there") == tmp_path / "there"


def test_a_bare_word_that_is_nothing_may_be_a_slip() -> None:
    with pytest.raises(UsageError, match=r"A folder is \./taem"):
        resolve("taem")


def test_a_bucket_with_its_service() -> None:
    found = bucket("s3://team/home/work/?service=bos&region=bj&profile=me")
    assert (found.name, found.prefix, found.region, found.profile) == ("team", "home/work", "bj", "me")
    assert found.endpoint == "https://s3.bj.bcebos.com" and str(found) == "s3://team/home/work"
    assert (found.service.addressing, found.service.checksum) == ("virtual", "md5")


def test_an_option_replaces_the_services_own() -> None:
    found = bucket("s3://team?service=minio&endpoint=http://10.0.0.7:9000&checksum=md5")
    assert (found.endpoint, found.service.checksum, found.service.addressing) == ("http://10.0.0.7:9000", "md5", "path")


def test_without_a_service_the_endpoint_is_left_to_boto3() -> None:
    assert bucket("s3://team").endpoint is None


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://key:secret@team/x", "holds no secret"),
        ("ftp://team.example", "not a store"),
        ("s3://team?service=bso", "no such service"),
        ("s3://team?service=bos", "which region"),
        ("s3://team?sevice=bos", "Did you mean service"),
        ("s3://team?checksum=crc64", "Known: crc32, md5"),
        ("s3://team?title=x", "no option"),
        ("s3://team?service=r2", "which account"),
        ("s3://team?endpoint=http://key:secret@host:9000", "holds no secret"),
        ("s3://team?endpoint=http%3A%2F%2Fkey%3Asecret%40host%3A9000", "holds no secret"),
        ("s3:///x?endpoint=http://key:secret@host", "holds no secret"),
        ("https://key:sec@secret@host/team", "no address of a store"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(address: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        resolve(address)
    assert "secret@" not in str(caught.value)


def test_a_region_of_the_service_and_an_account() -> None:
    found = bucket("s3://team?service=r2&account=0a1b")
    assert (found.endpoint, found.region) == ("https://0a1b.r2.cloudflarestorage.com", "auto")
    assert bucket("s3://team?service=garage&region=other").region == "other"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Could not connect to http://a:b@c/d", "Could not connect to http://…@c/d"),
        (
            'Failed to connect to proxy URL: "http://me:p@ss@proxy:3128"',
            'Failed to connect to proxy URL: "http://…@proxy:3128"',
        ),
        ("s3://key@team/x", "s3://…@team/x"),
        ("https://host/a@b and mail@host", "https://host/a@b and mail@host"),
    ],
)
def test_no_password_of_an_address_is_shown(text: str, shown: str) -> None:
    assert addresses.masked(text) == shown


def test_the_settings_name_stores_and_a_variable_goes_before(
    no_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_settings.write_text("default: team\nstores:\n  team: s3://team/x\n  disk: ./disk\n")
    assert str(resolve()) == "s3://team/x"
    assert resolve("disk") == tmp_path / "disk"
    monkeypatch.setenv(addresses.VARIABLE, "disk")
    assert resolve() == tmp_path / "disk"
    assert resolve("./other") == tmp_path / "other"


@pytest.mark.parametrize("text", ["stores: [a]", "- a", "default: 3", "stroes: {}", "a: [", "\xff: 1\n\x00"])
def test_wrong_settings_are_named(no_settings: Path, text: str) -> None:
    no_settings.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataFileError, match=r"store\.yaml"):
        resolve()


def test_every_service_is_described_with_its_sources() -> None:
    clouds = {"aws", "bos", "obs", "oss", "cos", "tos", "kodo", "ks3", "r2", "b2"}
    assert set(services()) == clouds | {"minio", "seaweedfs", "ceph", "garage"}
    for service in services().values():
        assert service.title and service.sources
        assert all(source.startswith("https://") for source in service.sources)
        assert all(getattr(service, field) in known for field, known in CHOICES.items()), service
        assert service.endpoint == "" or service.endpoint.startswith(("https://", "http://127.0.0.1:"))
