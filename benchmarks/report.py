"""From the rounds to what people read: one JSON with everything, one Markdown table, one chart."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.table import ROWS, WORDS, Row, reached, shown

FOREMAN_COLOUR: Final = "#0b6e4f"
BASELINE_COLOUR: Final = "#b8b8b8"
PEER_COLOUR: Final = "#5b7db1"
BASELINES: Final = frozenset({"exec", "fork"})


def summarise(rounds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The median over the rounds: peer → row → value."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for each in rounds:
        for row, value in each["values"].items():
            gathered.setdefault(each["peer"], {}).setdefault(row, []).append(value)
    return {peer: {row: median(values) for row, values in rows.items()} for peer, rows in gathered.items()}


def markdown(run: Mapping[str, Any]) -> str:
    """The page of a run."""
    values, titles = run["summary"], run["titles"]
    machine = ", ".join(f"{key} {value}" for key, value in run["machine"].items())
    lines = [
        "# A node, beside its peers",
        "",
        f"Made by `make bench` on {run['day']}; {machine}. {run['rounds_count']} round(s) side by side, {run['workers']} workers",
        "(Ray: at most 20), medians. Machines differ and are noisy: compare within the table, not between tables.",
        "",
        "![chart](node.svg)",
        "",
        "| | " + " | ".join(titles[peer] for peer in titles) + " | target |",
        "|---|" + "---|" * (len(titles) + 1),
    ]
    lines += [_line(row, values, list(titles)) for row in ROWS]
    lines += [
        f"| {title} | " + " | ".join(run["words"].get(peer, {}).get(key, "–") for peer in titles) + " | all adopted |"
        for key, title in WORDS.items()
    ]
    lines += [
        "",
        "Foreman's figures include what the peers do not do: a directory and a manifest made durable with fsync, verified health,",
    ]
    lines += [
        "and registration. circus lists its watchers; it tells only by `stats`, slowly, whether their processes live. Versions: "
        + ", ".join(f"{titles[peer]} {version}" for peer, version in run["versions"].items() if peer not in BASELINES)
        + "."
    ]
    if run["missing"]:
        lines += ["", "What could not be measured:", "", *[f"- {text}" for text in run["missing"]]]
    return "\n".join(lines) + "\n"


def _line(row: Row, values: Mapping[str, Mapping[str, float]], peers: Sequence[str]) -> str:
    cells = [shown(row, values.get(peer, {}).get(row.key)) for peer in peers]
    verdict = {True: " ✓", False: " ✗", None: ""}[reached(row, values)]
    return f"| {row.title} | " + " | ".join(cells) + f" | {row.target_says}{verdict} |"


def chart(run: Mapping[str, Any], path: Path) -> None:
    """Small multiples, one for each row, on a logarithmic scale: the peers differ by orders of magnitude."""
    columns = 2
    with drawing(path, (len(ROWS) + 1) // columns, columns, (12, 2.4 * ((len(ROWS) + 1) // columns))) as (_, axes):
        for row, axis in zip(ROWS, axes, strict=False):
            _draw(axis, row, run)


@contextmanager
def drawing(path: Path, rows: int, columns: int, inches: tuple[float, float]) -> Iterator[tuple[Any, Sequence[Any]]]:
    """The figure and its axes, written to ``path`` when the block ends: the same bytes for the same figures."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "foreman"
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text: small, and found by a search
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=inches)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
    yield figure, list(axes.flat)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def entitle(axis: Any, title: str) -> None:
    """At its top left, with nothing drawn there or at the right."""
    axis.set_title(title, fontsize=10, loc="left")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _draw(axis: Any, row: Row, run: Mapping[str, Any]) -> None:
    values = run["summary"]
    peers = [peer for peer in reversed(list(run["titles"])) if values.get(peer, {}).get(row.key) is not None]
    lengths = [max(values[peer][row.key] * row.scale, 1e-3) for peer in peers]
    colours = [FOREMAN_COLOUR if peer == "foreman" else BASELINE_COLOUR if peer in BASELINES else PEER_COLOUR for peer in peers]
    bars = axis.barh([run["titles"][peer] for peer in peers], lengths, color=colours)
    axis.bar_label(bars, [shown(row, values[peer][row.key]) for peer in peers], padding=3, fontsize=8)
    entitle(axis, row.title)
    if lengths:
        axis.set_xscale("log")
        axis.set_xlim(min(lengths) / 2, max(lengths) * 4)


def write(run: Mapping[str, Any], results: Path, docs: Path) -> None:
    """The JSON stays uncommitted; page and chart go into the docs."""
    results.mkdir(parents=True, exist_ok=True)
    docs.mkdir(parents=True, exist_ok=True)
    (results / "node.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    (docs / "node.md").write_text(markdown(run), encoding="utf-8")
    chart(run, docs / "node.svg")
