"""Every interval against hard populations, by `benchmarks.coverage` in small; and what its page says."""

from __future__ import annotations

import dataclasses
import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks lie in a clone only: this is not one", allow_module_level=True)
# Last, so that `streameval` is still the installed one.
sys.path.append(str(ROOT))

counting, coverage, page, populations = (
    import_module(f"benchmarks.{name}") for name in ("counting", "coverage", "coverage_page", "populations")
)
TRIALS = 200
MADE = ("rare", "bounds", "skew differences")


def small(name):
    rng = np.random.default_rng(4)
    if name == "skew differences":
        return populations.Population(
            name, 0.02 * rng.standard_t(3, 5000).clip(-300, 300), (-16.0, 16.0), differences=True
        )
    whole = populations.populations()[name]()
    return dataclasses.replace(whole, losses=rng.choice(whole.losses, 5000, replace=False))


@pytest.fixture(scope="module")
def found():
    sides = {
        name: {
            way: counting.count(
                small(name), replace=way == "with", trials=TRIALS, seed=1, farthest=500, sizes=(30, 100)
            )
            for way in coverage.WAYS
        }
        for name in MADE
    }
    return {name: (name, both) for name, both in sides.items()}


def test_guarantees_hold_at_every_size_and_every_look(found):
    """60 shares of 200 trials, each allowed 4.75 standard errors past 5 %: a false alarm in 1 of 1,000 seeds."""
    assert page.broken(found) == []


def test_what_promises_less_is_seen_to_hold_less(found):
    """Were the guaranteed ones as short as these, the test above would see it."""
    rare = found["rare"][1]["with"]
    for name in ("normal", "skew", "asymptotic"):
        assert rare[name].covered(100) < 0.8
        assert rare[name].silent[100] <= 0.02 * TRIALS  # nearly each miss was warned of
    assert found["bounds"][1]["with"]["normal"].ever > 0.3 * TRIALS
    broken = {name: (title, {way: rows | {"betting": rows["normal"], "until betting": rows["normal"]}
                             for way, rows in sides.items()}) for name, (title, sides) in found.items()}  # fmt: skip
    said = " ".join(page.broken(broken))
    assert "rare, with replacement: betting of 100 rows covers" in said
    assert "bounds, without replacement: until betting missed in" in said


def test_all_that_is_counted_has_a_line_on_the_page(found):
    assert {tuple(rows) for _, sides in found.values() for rows in sides.values()} == {tuple(page.PROMISES)}


def test_the_page_is_made_of_the_counts(found, tmp_path, monkeypatch, capsys):
    stored = {"trials": TRIALS, "seed": 1, "missing": "Left out: everything real.", "populations": {}}
    for name, (title, sides) in found.items():
        rows = {way: {key: dataclasses.asdict(row) for key, row in one.items()} for way, one in sides.items()}
        for one in rows.values():
            for row in one.values():  # the page has a column for each of its own sizes
                for kind in ("missed", "silent"):
                    row[kind] = row[kind] and dict.fromkeys(counting.SIZES, 0) | row[kind]
        stored["populations"][name] = {"title": title} | rows
    (tmp_path / "counts.json").write_text(json.dumps(stored))
    (tmp_path / "page.md").write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    monkeypatch.setattr(coverage, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(sys, "argv", ["coverage", "--read", str(tmp_path / "counts.json"), "--write"])
    assert coverage.main() == 0
    shown = (tmp_path / "page.md").read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("after\n")
    assert "old" not in shown
    assert "Left out: everything real." in shown
    assert "Every guarantee held." in shown
    skew = found["rare"][1]["with"]["skew"]
    covered, silent = 100 * skew.covered(100), 100 * skew.silent[100] / TRIALS
    assert f"rare at n = 100: {covered:.1f} % ({silent:.1f} %)" in shown
    assert f"{covered:.1f}*" in shown
    assert capsys.readouterr().out.strip() in shown


def test_the_documented_table_is_one_of_four_thousand_trials_of_all_populations():
    shown = (ROOT / "docs" / "statistics.md").read_text()
    section = shown.split(page.BEGIN)[1].split(page.END)[0]
    assert "Counted over 4,000 random orders" in section
    assert section.count("| interval | promise |") == len(populations.ORDER)
    assert "Every guarantee held." in section
    assert "Left out" not in section
