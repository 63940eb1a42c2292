"""What a worker says of where it is reached: read as it was written, whatever stands in the path."""

from hypothesis import given
from hypothesis import strategies as st

from foreman.core.endpoints import Endpoints, read_endpoints, write_endpoints

PATHS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), min_size=1).map(lambda path: f"unix:/{path}")


@given(PATHS, st.from_regex(r"[a-z0-9.]{1,20}:[0-9]{1,5}", fullmatch=True))
def test_what_is_written_is_read(local: str, endpoint: str) -> None:
    assert read_endpoints(write_endpoints(endpoint, local)) == Endpoints(endpoint, local)
    assert read_endpoints(write_endpoints(local, local)) == Endpoints(local, None)
    assert read_endpoints(endpoint) == Endpoints(endpoint, None)


def test_nothing_said_is_nothing_known() -> None:
    assert read_endpoints(None) == Endpoints(None, None)
