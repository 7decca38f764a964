from pathlib import Path

import pytest

from rankloop.datasets.spec import parse_spec
from rankloop.errors import ConfigError

KNOWN = {"folder": frozenset[str](), "csv": frozenset({"score", "images", "higher_is_better"})}


def test_path_and_options() -> None:
    spec = parse_spec("csv:/a/b.csv?score=mos&images=/x+y/%3F&higher_is_better=true", KNOWN)
    assert (spec.reader, spec.path) == ("csv", "/a/b.csv")
    assert spec.options == {"score": "mos", "images": "/x+y/?", "higher_is_better": "true"}


def test_path_with_a_colon_and_a_reader_without_options() -> None:
    assert parse_spec("folder:s3://bucket/a?b", KNOWN).path == "s3://bucket/a?b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foldr:x", "nearest is 'folder'; known are csv, folder"),
        ("photos", "known are csv, folder"),
        ("csv:x?scor=mos", "nearest is 'score'"),
        ("csv:x?score=", "has no value"),
        ("csv:x?score", r"write \?name=value"),
    ],
)
def test_bad_names_are_refused_with_a_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_spec(text, KNOWN)


def test_options_of_a_file_system_stay_with_its_uri() -> None:
    known = {"tid2013": frozenset({"split"})}
    spec = parse_spec("tid2013:s3://b/x?endpoint_override=h:1&split=official&scheme=http", known)
    assert spec.path == "s3://b/x?endpoint_override=h:1&scheme=http"
    assert spec.options == {"split": "official"}
    with pytest.raises(ConfigError, match="the nearest is 'split'"):
        parse_spec("tid2013:s3://b/x?splt=official", known)


def test_options_of_a_reader_that_takes_none_are_refused(tmp_path: Path):
    options = {"folder": frozenset[str]()}
    with pytest.raises(ConfigError, match="folder takes no options, and there is no such path"):
        parse_spec(f"folder:{tmp_path}?split=official", options)
    (tmp_path / "a?b=c").mkdir()
    assert parse_spec(f"folder:{tmp_path}/a?b=c", options).path == f"{tmp_path}/a?b=c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # As typed, so that it can be given again.
        ("csv:/a/b.csv?score=mos&images=/x+y/%3F", "csv:/a/b.csv?score=mos&images=/x+y/%3F"),
        ("folder:s3://bucket/a?b", "folder:s3://bucket/a?b"),
        ("folder:s3://key:secret@bucket/a", "folder:s3://bucket/a"),
        ("csv:a.csv?images=memory%3A%2F%2Fk%3Asecret%40b", "csv:a.csv?images=memory://b"),
        (
            "csv:a.csv?images=mem%6Fry%3A/%2Fk:%73ecret@b&score=m",
            "csv:a.csv?images=memory://b&score=m",
        ),
        ("csv:s3://k:secret@b/a?region=x&score=m", "csv:s3://b/a?region=x&score=m"),
        ("csv:s3://b/a?region=x&images=s3%3A//k:secret@c", "csv:s3://b/a?region=x&images=s3://c"),
    ],
)
def test_what_is_shown_holds_no_password(text: str, shown: str) -> None:
    assert parse_spec(text, KNOWN).shown == shown


@pytest.mark.parametrize("name", ["scor", "images="])
def test_a_refusal_holds_no_password(name: str) -> None:
    text = f"csv:a.csv?images=memory%3A%2F%2Fk%3Asecret%40b&{name}"
    with pytest.raises(ConfigError) as caught:
        parse_spec(text, KNOWN)
    assert "secret" not in str(caught.value)
