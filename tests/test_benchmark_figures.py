"""Figures of the benchmarks: sound SVG that needs nothing else, true to its numbers, and readable in dark and light."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[1]
FIGURES = sorted((ROOT / "pinwheel_async" / "docs" / "pages" / "explanation").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def plot() -> ModuleType:
    """The module that draws."""
    spec = importlib.util.spec_from_file_location("plot_of_benchmarks", ROOT / "benchmarks" / "_plot.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figures(median: float) -> dict[str, float]:
    return {"median": median, "q1": median * 0.9, "q3": median * 1.1}


def widths(svg: str) -> list[float]:
    root = ET.fromstring(svg)  # noqa: S314  # ours
    return [float(bar.get("width", 0)) for bar in root.iter(f"{SVG}rect") if bar.get("class") != "ground"]


def test_lengths(plot: ModuleType):
    """A bar is as long as its median, and one that would hide the others is broken, and said to be."""
    even = plot.chart([("t", "µs", {"a": figures(10), "b": figures(20)})])
    odd = plot.chart([("t", "µs", {"a": figures(10), "b": figures(20), "c": figures(900)})], "note")
    first, second = widths(even)
    third, fourth, broken = widths(odd)

    assert second == pytest.approx(2 * first, abs=0.2)
    assert fourth == pytest.approx(2 * third, abs=0.2)
    assert broken < 2 * fourth
    assert "note; broken bars are longer" in odd
    assert "roken" not in even


def test_names(plot: ModuleType):
    """Names and titles are text, whatever is in them, and a screen reader is told every number."""
    svg = plot.chart([("<b> & c", "µs", {"pinwheel_async <x>": figures(1234)})])
    root = ET.fromstring(svg)  # noqa: S314  # ours

    assert ["<b> & c, µs"] == [title.text for title in root.iter(f"{SVG}title")]
    assert ["pinwheel_async <x>: 1,234 µs"] == [text.text for text in root.iter(f"{SVG}desc")]
    assert "img" == root.get("role")


def test_figures_of_the_readme():
    """README and manual show the two figures, which load nothing and have colours for dark pages, too."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "pinwheel_async/docs/pages/explanation/performance.md").read_text(encoding="utf-8")

    assert ["calls.svg", "decode.svg"] == [path.name for path in FIGURES]
    for path in FIGURES:
        text = path.read_text(encoding="utf-8")
        assert f"explanation/{path.name})" in readme
        assert f"({path.name})" in page
        assert ET.fromstring(text).tag == f"{SVG}svg"  # noqa: S314  # ours
        assert "prefers-color-scheme: dark" in text
        assert [] == re.findall(r"href|url\(|<script|<image|@import", text)


def test_nothing_to_draw(tmp_path: Path):
    """Without results `plot` says which question to ask, and ends with the number of figures that are missing."""
    for file in ("__main__.py", "_plot.py"):
        (tmp_path / "benchmarks").mkdir(exist_ok=True)
        (tmp_path / "benchmarks" / file).write_bytes((ROOT / "benchmarks" / file).read_bytes())
    command = [sys.executable, "-m", "benchmarks", "plot"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert 2 == done.returncode
    assert "python -m benchmarks decode" in done.stderr


def brightness(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.name)
def test_contrast(path: Path):
    """On their ground, in light and in dark, texts have a contrast of 4.5, and bars of 3, as WCAG asks."""
    style = re.search(r"<style>(.*)</style>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert style
    for part in style[1].split("@media"):
        colours = dict(re.findall(r"(\.?\w+) \{ (?:fill|stroke): (#[0-9a-f]{6});", part))
        ground = brightness(colours.pop(".ground"))
        assert {"text", ".quiet", ".ours", ".other", ".spread"} == set(colours)
        for name, colour in colours.items():
            lighter, darker = sorted([brightness(colour), ground], reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= (4.5 if name in {"text", ".quiet"} else 3), (name, part)
