"""What a worker answers to INFO, as whoever asked reads it. Pure."""


def read_info(answer: object) -> dict[str, str]:
    """Fact → value, as text. Raises TypeError, ValueError: it is no answer to INFO."""
    if not isinstance(answer, bytes):
        raise TypeError("INFO was answered with no text")
    lines = [line.partition(":") for line in answer.decode().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in lines}
