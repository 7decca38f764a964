import pytest

from rankloop.errors import DataError
from rankloop.images import read_bytes
from rankloop.redaction import without_passwords


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("'s3://key:sec/r+et=@bucket/a' fails", "'s3://bucket/a' fails"),
        ("s3://key:one@a/x and s3://key:two@b/y", "s3://a/x and s3://b/y"),
        (
            "http://me:se@cret@host/x?mail=a@b, http://host/a@b",
            "http://host/x?mail=a@b, http://host/a@b",
        ),
        ("https://token@host/x", "https://host/x"),
        ("postgresql://me:secret@db:5432/runs", "postgresql://db:5432/runs"),
        ("https://h/a.jpg?X-Amz-Signature=secret&w=1", "https://h/a.jpg?X-Amz-Signature=…&w=1"),
        ("abfs://c@h/x?sig=secret", "abfs://h/x?sig=…"),
        ("wasbs://h/x?a=1&account_key=secret", "wasbs://h/x?a=1&account_key=…"),
    ],
)
def test_passwords_are_cut_out_of_any_text(text, expected):
    assert without_passwords(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a@2x.png",
        "hdfs://host:8020/a@b.png",
        "/data//b@c.png",
        "s3://b/x?endpoint_override=h:1&scheme=http",
        "csv:a.csv?score=mos&image=key",
        "see http://h:80 or mail a@b",
    ],
)
def test_what_is_no_password_stays(text):
    assert without_passwords(text) == text


def test_no_error_of_ours_says_a_password():
    assert str(DataError("cannot list s3://key:secret@bucket/x")) == "cannot list s3://bucket/x"
    with pytest.raises(DataError) as caught:
        read_bytes("memory://key:secret@bucket/none.png")
    assert "secret" not in str(caught.value)
