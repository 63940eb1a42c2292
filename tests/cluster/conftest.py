"""What the helpers here assert is told as in the tests themselves: with what differs."""

import pytest

pytest.register_assert_rewrite("tests.cluster.nodes", "tests.cluster.pushing", "tests.cluster.steps")
