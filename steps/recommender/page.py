"""The evaluation as one page that a person reads: HTML with its style and pictures inside, and no script."""

from collections.abc import Mapping, Sequence
from html import escape

from steps.recommender import charts
from steps.recommender.charts import Line
from steps.recommender.evaluation import (
    MODEL,
    PREQUENTIAL_BASELINE,
    Evaluation,
    PartResult,
    SliceResult,
    interval,
    verdict,
)
from steps.recommender.history import EpochResult
from steps.recommender.metrics import Estimate


def build_page(
    evaluation: Evaluation,
    *,
    dataset: str,
    parameters: Mapping[str, object],
    history: Sequence[EpochResult],
    best_epoch: int,
    notes: Sequence[str] = (),
) -> str:
    """The page, as a whole HTML document; `notes` are warnings that stand right below the verdict."""
    sections = [
        _systems_section(evaluation),
        _prequential_section(evaluation),
        _slices_section(evaluation),
        _training_section(history, best_epoch),
        _predictions_section(evaluation),
        _parameters_section(parameters),
        _method_section(evaluation),
    ]
    title = f"Evaluation: {dataset}"
    warnings = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<style>{STYLE}</style></head>\n<body><main>"
        f'<header><p class="kicker">{escape(title)}</p><h1>{escape(verdict(evaluation))}</h1>'
        f"<p>{escape(_difference(evaluation))}</p>{warnings}</header>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n"
    )


def _difference(evaluation: Evaluation) -> str:
    difference = evaluation.comparison.difference
    sentence = (
        f"On the same rows, the model's RMSE minus that of {evaluation.best_baseline} "
        f"is {interval(difference, sign='+')}; below zero the model is better."
    )
    if difference.low <= 0 <= difference.high:
        sentence += " The interval holds zero: the difference may be chance."
    return sentence


def _systems_section(evaluation: Evaluation) -> str:
    judged = evaluation.parts[evaluation.judged_on]
    chart = charts.interval_chart(
        f"RMSE of every system on {evaluation.judged_on}, with intervals",
        [(name, quality.rmse, _css(name)) for name, quality in judged.systems.items()],
        axis=f"RMSE on {evaluation.judged_on} (lower is better)",
    )
    return _section(
        "The model beside simple averages",
        _figure(chart, f"Dots are RMSE, lines are {evaluation.confidence:.0%} intervals."),
        *(_part_table(part, result) for part, result in reversed(list(evaluation.parts.items()))),
    )


def _part_table(part: str, result: PartResult) -> str:
    rows = [
        [escape(system), _estimate(quality.rmse), _estimate(quality.mae)] for system, quality in result.systems.items()
    ]
    about = f"{part.capitalize()}: {result.rows:,} ratings of {result.users:,} users"
    return _table(about, ["system", "RMSE", "MAE"], rows, emphasised=MODEL)


def _prequential_section(evaluation: Evaluation) -> str:
    about = (
        "Above, everything is frozen where training ends (static). Here the weights are, but each rating is predicted "
        "knowing what the same user has rated at earlier moments, as a running service would (prequential). Only "
        "models that read a history gain by it. On the same rows, the model's RMSE minus that of "
        f"{PREQUENTIAL_BASELINE} is {interval(evaluation.prequential_comparison.difference, sign='+')}."
    )
    tables = (_part_table(part, result) for part, result in reversed(list(evaluation.prequential.items())))
    return _section("With the user's earlier ratings known", f"<p>{escape(about)}</p>", *tables)


def _slices_section(evaluation: Evaluation) -> str:
    about = (
        f"RMSE on {evaluation.judged_on}. What training saw is known, the rest is new. The baseline is "
        f"{evaluation.best_baseline}; the difference is the model's RMSE minus the baseline's."
    )
    rows = [_slice_row(result) for result in evaluation.slices]
    return _section(
        "Known and new users and titles", _table(about, ["rows of", "model", "baseline", "difference"], rows)
    )


def _slice_row(result: SliceResult) -> list[str]:
    name = f'{escape(result.name)} <span class="detail">{result.rows:,} ratings, {result.users:,} users</span>'
    if not (result.model and result.baseline and result.comparison):
        return [name, "-", "-", "-"]
    difference = _estimate(result.comparison.difference, sign="+")
    return [name, _estimate(result.model.rmse), _estimate(result.baseline.rmse), difference]


def _training_section(history: Sequence[EpochResult], best_epoch: int) -> str:
    validation = [(record.epoch, record.validation_rmse) for record in history]
    chart = charts.line_chart(
        "RMSE on training and validation rows by epoch",
        [
            Line("training", "other", [(record.epoch, record.rmse) for record in history]),
            Line("validation", "model", validation),
        ],
        x_axis="epoch",
        y_axis="RMSE",
        mark=validation[best_epoch - 1],
    )
    return _section(
        "Training",
        _figure(
            chart,
            f"The ring marks epoch {best_epoch}, the lowest on validation, whose weights were kept. "
            "Training RMSE is measured while the weights change.",
        ),
    )


def _predictions_section(evaluation: Evaluation) -> str:
    distribution, rows = evaluation.distribution, evaluation.parts[evaluation.judged_on].rows
    bars = charts.bar_chart(
        "Share of ratings and of predictions by value",
        distribution.centers,
        [
            ("ratings", "other", [100 * count / rows for count in distribution.ratings]),
            ("predictions", "model", [100 * count / rows for count in distribution.predictions]),
        ],
        x_axis="rating",
        y_axis="% of rows",
    )
    dots = charts.diagonal_chart(
        "Mean rating by mean prediction",
        [(part.predicted, part.actual) for part in evaluation.calibration],
        x_axis="mean prediction",
        y_axis="mean rating",
    )
    largest = max(abs(part.predicted - part.actual) for part in evaluation.calibration)
    return _section(
        "Predictions",
        _figure(bars, "Predictions gather in the middle where the model is unsure; ratings do not."),
        _figure(
            dots,
            f"Rows sorted by prediction, in {len(evaluation.calibration)} groups of equal size. On the line, "
            f"predictions are right on average; the farthest group is {largest:.2f} off.",
        ),
    )


def _parameters_section(parameters: Mapping[str, object]) -> str:
    rows = [[escape(name), escape(_plain(value))] for name, value in parameters.items()]
    return _section("Parameters of the model", _table("How it was trained.", ["parameter", "value"], rows))


def _method_section(evaluation: Evaluation) -> str:
    return _section(
        "How this was measured",
        f"<p>Intervals hold {evaluation.confidence:.0%} of {evaluation.resamples:,} bootstrap resamples with seed "
        f"{evaluation.seed}. Each resample draws whole users with replacement, because the ratings of one user depend "
        "on one another. All systems see the same resamples, so their differences are paired.</p>"
        "<p>Everything was fitted on training rows only. The model's epoch, the damping of the baselines, and the "
        "baseline that the model is compared with were chosen on validation rows. Predictions are limited to the "
        "rating scale, as they are when served.</p>",
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(about: str, header: Sequence[str], rows: Sequence[Sequence[str]], emphasised: str = "") -> str:
    """A table whose cells are markup already, with the row of that name emphasised. Too wide ones scroll."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(_row(cells, cells[0] == emphasised) for cells in rows)
    return (
        f'<p class="about">{escape(about)}</p>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(about)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[str], emphasised: bool) -> str:
    values = "".join(f"<td>{cell}</td>" for cell in cells[1:])
    emphasis = ' class="emphasis"' if emphasised else ""
    return f'<tr{emphasis}><th scope="row">{cells[0]}</th>{values}</tr>'


def _estimate(estimate: Estimate, sign: str = "") -> str:
    ends = f"{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}"
    return f'{estimate.value:{sign}.3f} <span class="detail">[{ends}]</span>'


def _css(system: str) -> str:
    return "model" if system == MODEL else "other"


def _plain(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


STYLE = """
:root { --paper: #fbfaf8; --card: #ffffff; --ink: #1d2126; --soft: #5d6570; --rule: #dedbd5; --model: #1f62b5;
  --other: #8a8f98; --note: #8a4b00; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --card: #1c2026; --ink: #e8e6e3; --soft: #a3aab4;
  --rule: #333941; --model: #7db4ff; --other: #8b929d; --note: #ffb866; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 2.5rem 1.1rem 4rem; }
h1 { font-size: clamp(1.25rem, 4.2vw, 1.75rem); line-height: 1.3; font-weight: 650; margin: .3rem 0 .8rem;
  text-wrap: balance; }
h2 { font-size: 1.1rem; margin: 0 0 .9rem; }
p { margin: .5rem 0; max-width: 42rem; }
.kicker, .about, figcaption { color: var(--soft); font-size: .875rem; }
.kicker { margin: 0; }
.about { margin: 1.1rem 0 .3rem; }
.note { color: var(--note); }
section { margin-top: 1.4rem; padding: 1.2rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: 12px; }
figure { margin: 0 auto 1.1rem; max-width: 33rem; }
section > :last-child { margin-bottom: 0; }
svg { display: block; width: 100%; height: auto; font-size: 11.5px; }
figcaption { margin-top: .4rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--model); }
table { border-collapse: collapse; font-size: .875rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; font-weight: normal; padding: .38rem .8rem .38rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
thead th { color: var(--soft); }
tbody tr:last-child > * { border-bottom: 0; }
tr.emphasis > * { font-weight: 650; }
.detail { color: var(--soft); font-weight: normal; white-space: nowrap; }
svg text { fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .diagonal { stroke: var(--other); stroke-width: 1.5; stroke-dasharray: 4 4; }
svg .name { font-weight: 600; fill: var(--ink); }
svg .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
svg .interval { stroke-width: 3; stroke-linecap: round; opacity: .55; }
svg .mark { fill: none; stroke: var(--ink); stroke-width: 2; }
svg .model.line, svg .model.interval { stroke: var(--model); }
svg .other.line, svg .other.interval { stroke: var(--other); }
svg .model.dot, svg .model.bar, svg .model.swatch { fill: var(--model); }
svg .other.dot, svg .other.bar, svg .other.swatch { fill: var(--other); }
@media (max-width: 40rem) {
  section { padding: 1rem .8rem; }
  svg { font-size: 14px; }
  .detail { display: block; font-size: .8rem; }
}
@media print { section { break-inside: avoid; border: 0; padding: 0; } }
"""
