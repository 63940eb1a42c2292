"""Output is read whole and in order, over rotations, and followed without looking again and again."""

import asyncio
from contextlib import aclosing
from pathlib import Path

from foreman.node.output import read_output


async def read(directory: Path) -> bytes:
    async with aclosing(read_output(directory, follow=False)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_the_oldest_kept_byte_comes_first(tmp_path: Path) -> None:
    for name, content in (("current", b"d"), ("1", b"c"), ("2", b"b"), ("10", b"a")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "strange").write_bytes(b"not output")
    assert await read(tmp_path) == b"abcd"


async def test_no_output_and_no_directory_are_nothing(tmp_path: Path) -> None:
    assert await read(tmp_path) == b""
    assert await read(tmp_path / "gone") == b""


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    output = tmp_path / "output"
    output.mkdir()
    (output / "current").symlink_to(secret)
    assert await read(output) == b""


async def test_a_follower_sees_every_byte_once_over_rotations(tmp_path: Path) -> None:
    current, older = tmp_path / "current", tmp_path / "1"
    current.write_bytes(b"0;")
    seen = bytearray()

    async def until(text: bytes) -> None:
        async with asyncio.timeout(10):
            while not seen.endswith(text):
                seen.extend(await anext(chunks))

    async with aclosing(read_output(tmp_path, follow=True)) as chunks:
        await until(b"0;")
        for number in range(1, 20):
            if number % 3 == 0:
                current.rename(older)
            with current.open("ab") as file:
                file.write(b"%d;" % number)
            await until(b"%d;" % number)
    assert seen == b"".join(b"%d;" % number for number in range(20))


async def test_a_follower_ends_with_the_directory(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "current").write_bytes(b"last words")

    async def follow() -> bytes:
        return b"".join([chunk async for chunk in read_output(output, follow=True)])

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    output.rename(tmp_path / "trash")
    (tmp_path / "trash" / "current").unlink()
    (tmp_path / "trash").rmdir()
    async with asyncio.timeout(10):
        assert await following in {b"last words", b""}
