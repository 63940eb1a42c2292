"""Installs the peers to measure against, outside this repository: ``make bench-peers``.

Into BENCH_PEERS (default ~/.cache/foreman-bench-peers): a virtual environment with supervisor, circus and ray; pm2 by npm; runit
unpacked from Debian's package, which needs no root. s6 alone is installed on the machine, because its programs look for one another in
/usr/bin; its package starts nothing. What cannot be had is named and left out.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

PYTHON_PEERS: Final = ("supervisor", "setuptools<81", "circus", "ray")  # supervisor 4.3 still needs pkg_resources of setuptools
DEBIAN_PACKAGES: Final = Path(__file__).resolve().parents[1] / ".ci/debian-packages"


def peers_folder() -> Path:
    return Path(os.environ.get("BENCH_PEERS") or Path.home() / ".cache/foreman-bench-peers")


def install_python(peers: Path) -> None:
    if not (peers / "python/bin/python").exists():
        _run([sys.executable, "-m", "venv", str(peers / "python")])
    _run([str(peers / "python/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_PEERS])


def install_npm(peers: Path) -> None:
    if shutil.which("npm") is None:
        raise FileNotFoundError("npm is not installed (Debian: apt-get install npm)")
    _run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(peers / "npm"), "pm2"])


def install_runit(peers: Path) -> None:
    packages = peers / "debian/packages"
    packages.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "-q", "runit"], cwd=packages)
    for package in packages.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(peers / "debian")])


def install_s6(_peers: Path) -> None:
    _run([str(DEBIAN_PACKAGES), "s6"])
    if shutil.which("s6-svscan") is None:
        raise FileNotFoundError("the Debian package s6 is not installed")


STEPS: Final[dict[str, Callable[[Path], None]]] = {
    "supervisord, circus, Ray": install_python,
    "pm2": install_npm,
    "runit": install_runit,
    "s6": install_s6,
}


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    peers = peers_folder()
    peers.mkdir(parents=True, exist_ok=True)
    missing = 0
    for what, install in STEPS.items():
        print(f"{what} …", flush=True)
        try:
            install(peers)
        except (OSError, subprocess.CalledProcessError) as error:
            missing += 1
            print(f"*** {what}: not installed, left out of the comparison: {error}", file=sys.stderr)
    print(f"peers are in {peers}")
    return 1 if missing else 0


def _run(argv: list[str], cwd: Path | None = None) -> None:
    subprocess.run(argv, check=True, cwd=cwd, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
