import pytest

from harness.masking import masked, words_of


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("postgresql://me:s3cret@host/db", "postgresql://me:***@host/db"),
        ("x https://me:s/3@c@host:80/y, z", "x https://me:***@host:80/y, z"),
        ("mysql://host/db?ssl=1&password=s3cret&x=2", "mysql://host/db?ssl=1&password=***&x=2"),
        ("http://:s3cret@host", "http://:***@host"),
        ("http://host:5000/a", "http://host:5000/a"),
        ("sqlite:////a:b/c.db", "sqlite:////a:b/c.db"),
    ],
)
def test_a_password_is_not_shown_and_everything_else_is(text: str, wanted: str) -> None:
    assert masked(text) == wanted


def test_an_error_is_one_line_and_never_empty() -> None:
    assert words_of(ValueError("a\n  http://me:pw@host\n")) == "a http://me:***@host"
    assert words_of(ValueError()) == "ValueError"
