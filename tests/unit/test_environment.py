"""A key prefix names the environment in its last part, and only there."""

import pytest

from apiauth.core.environment import environment_of


@pytest.mark.parametrize(
    ("prefix", "environment"),
    [
        ("nw_live", "live"),
        ("nw_test", "test"),
        ("test", "test"),
        ("nw", None),
        ("nwtest", None),
        ("test_nw", None),
        ("nw_test2", None),
        ("nw_latest", None),
    ],
)
def test_the_last_part_of_a_prefix_names_the_environment(prefix: str, environment: str | None) -> None:
    assert environment_of(prefix) == environment
