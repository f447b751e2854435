"""Runs the comparison and prints it as Markdown. Arguments: repeats (5), and a word that a case's title must contain."""

import math
import os
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import cases
from engines import Engine
from pictures import WORK, all_pictures
from scores import score

repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
only = sys.argv[2] if len(sys.argv) > 2 else ""
OUT = WORK / "out"
BUILT = WORK / "build/release"

ENGINES = {
    "ours": Engine("ours", [os.environ["PEER"]]),
    "sharp": Engine("sharp", ["node", str(Path("benches/peers/sharp.mjs").resolve())], WORK / "npm"),
    "oximg": Engine("oximg", [BUILT / "oximg"]),
}
SCORER = Engine("score", [BUILT / "score"])


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def output_of(picture, case, job):
    return OUT / f"{picture.stem}-{case.width}-{job.label.replace(' ', '-')}.{job.format}"


def measure(case, pictures):
    """Medians by picture and job, and the scores: the jobs take turns, and the first round warms up."""
    runs = defaultdict(list)
    for turn in range(repeats + 1):
        for picture in pictures:
            for job in case.jobs:
                run = ENGINES[job.engine].run(picture, case.width, job.format, job.quality, job.effort, output_of(picture, case, job))
                if turn > 0:
                    runs[picture, job].append(run)
        print(f"{case.title}: round {turn} of {repeats}", file=sys.stderr)
    found = {}
    for (picture, job), all_runs in runs.items():
        median = lambda field: statistics.median(getattr(run, field) for run in all_runs)
        found[picture, job] = {
            "cpu": median("cpu_ms"), "wall": median("wall_ms"), "stage": median("stage_ms"), "bytes": all_runs[0].bytes,
            "score": math.nan if job.format == "raw" else score(SCORER, picture, output_of(picture, case, job)),
        }
    return found


def at_score(found, picture, kind, wanted):
    """What ours would take at a score: between the two of the sweep that lie around it, or from the nearest two."""
    swept = [found[picture, cases.ours(*kind, quality)] for quality in cases.SWEEP]
    swept.sort(key=lambda result: result["score"])
    above = next((n for n, result in enumerate(swept) if result["score"] >= wanted), len(swept) - 1)
    low, high = swept[max(above, 1) - 1], swept[max(above, 1)]
    part = (wanted - low["score"]) / (high["score"] - low["score"])
    between = lambda what: math.exp(math.log(low[what]) * (1 - part) + math.log(high[what]) * part)
    return {what: between(what) for what in ("cpu", "wall", "bytes")} | {"score": wanted}


def line(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def report(case, pictures, found):
    print(f"\n### {case.title} ({len(pictures)} pictures)\n")
    line("engine and setting", "CPU ms", "wall ms", "kB", "SSIMULACRA2", "peak MiB")
    line("---", "---", "---", "---", "---", "---")
    for job in case.jobs:
        if job.quality in cases.SWEEP and job.engine == "ours":
            continue
        mean = lambda what: statistics.fmean(found[picture, job][what] for picture in pictures)
        low = min(found[picture, job]["score"] for picture in pictures)
        peak = ENGINES[job.engine].peak_mib(pictures[0], case.width, job.format, job.quality, job.effort, OUT / "peak")
        scores = "" if job.format == "raw" else f"{mean('score'):.1f} (lowest {low:.1f})"
        size = "" if job.format == "raw" else f"{mean('bytes') / 1000:.1f}"
        line(job.label, f"{mean('cpu'):.1f}", f"{mean('wall'):.1f}", size, scores, f"{peak:.0f}")
    stages = [cases.ours("webp")] if cases.ours("webp") in case.jobs else []
    for job in stages:
        line("ours, all before encoding", "", f"{statistics.fmean(found[p, job]['stage'] for p in pictures):.1f}", "", "", "")


def judge(case, pictures, found):
    """Ratios at equal scores, against the targets."""
    rows = []
    for target in case.targets:
        ratios = []
        for picture in pictures:
            mine = at_score(found, picture, target.ours, found[picture, target.at_score_of]["score"])
            ratios.append(mine[target.what] / found[picture, target.peer][target.what])
        ratio = geometric_mean(ratios)
        spread = f"{min(ratios):.3f}-{max(ratios):.3f}"
        rows.append((target.name, target.at_score_of.label, f"≤ {target.bound}", f"**{ratio:.3f}**", spread, "reached" if ratio <= target.bound else "missed"))
    return rows


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    sets = all_pictures()
    rows = []
    for case in cases.CASES:
        if only not in case.title:
            continue
        pictures = sets[case.pictures]
        found = measure(case, pictures)
        report(case, pictures, found)
        rows += judge(case, pictures, found)
    job = ("webp", "default", "first-view")
    peak = ENGINES["ours"].peak_mib(sets["large"][0], 1200, *job, OUT / "peak")
    rows.append(("20 MP → 1200 WebP: peak MiB of the process", "", f"≤ {cases.PEAK_TARGET_MIB:.0f}", f"**{peak:.0f}**", "", "reached" if peak <= cases.PEAK_TARGET_MIB else "missed"))
    print("\n### Targets\n")
    line("ours ÷ the peer's", "at the score of", "target", "geometric mean", "lowest-highest", "")
    line("---", "---", "---", "---", "---", "---")
    for row in rows:
        line(*row)
    for engine in [*ENGINES.values(), SCORER]:
        engine.close()


main()
