"""The index of a sweep: its certificates side by side, as a page and as a table."""

import base64
import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from samebits.certificate import signatories
from samebits.certificate.types import Certificate, Report
from samebits.errors import SamebitsError, all_problems
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, files, history
from samebits.formats.names import CERTIFICATE_FILE, SWEEP_FORMAT
from samebits.pages import charts, templates, wording
from samebits.pages import runs as compared
from samebits.pages.charts import LOSS, VALIDATION
from samebits.text import duration

_OPTION = "option"  # in a group of the config: which one was chosen
_USUAL, _SEED = "accuracy", "seed"

# How formulas begin, also in full width, and white space that is cut off before one is looked for.
_FORMULA = (*"=+-@\uff1d\uff0b\uff0d\uff20", *" \t\r\n")
_ABSENT = object()
_MOST_VALUES = 12  # of a key by which the page is filtered: more are found by sorting


@dataclass(frozen=True)
class Row:
    """One certificate."""

    name: str  # of the combination, and of its folder beside the index
    sha256: str  # of the certificate's file
    digest: str  # of the experiment
    verdict: str
    signature: str  # SIGNED or UNSIGNED
    swept: Mapping[str, Any]  # by key; without the keys that the config does not have
    group: str | None  # the same for experiments that differ in the seed only
    seed: int | None
    metrics: Mapping[str, float]  # of the control's last epoch
    divergence: Mapping[str, Any] | None  # of the replica or another run from the control
    depends_on: tuple[str, ...]
    runs: int
    seconds: float  # of all runs' processes together


@dataclass(frozen=True)
class Spread:
    """A metric over the seeds of experiments that are otherwise the same."""

    swept: Mapping[str, Any]
    numbers: Sequence[float]  # the finite values, sorted
    not_finite: int

    @property
    def median(self) -> float:
        """The median."""
        return median(self.numbers)


@dataclass(frozen=True)
class Choice:
    """One value by which the page's table is filtered."""

    value: str
    style: str  # the class of the rows that have it
    names: Set[str]  # of these rows


def read(sweep: Path) -> list[Row]:
    """The certificates that a sweep's file lists, in its order.

    Raises SamebitsError with every one that is missing, damaged or of another experiment.
    """
    listed = canonical.read_json(sweep)
    if listed.get("format") != SWEEP_FORMAT:
        raise SamebitsError(f"{sweep}: expected format {SWEEP_FORMAT}, got {listed.get('format')}")
    rows, problems = [], []
    for combination in listed["combinations"]:
        try:
            rows.append(_row(sweep.parent, combination, listed["keys"]))
        except (SamebitsError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise SamebitsError(all_problems(problems))
    return rows


def _row(folder: Path, combination: Mapping[str, str], keys: Sequence[str]) -> Row:
    path = folder / combination["name"] / CERTIFICATE_FILE
    content, sha256 = _certificate(path, combination["digest"])
    report = content["report"]
    experiment = report["experiment"]
    config: Mapping[str, Any] = experiment["config"] or {}
    found = ((key, _value(config, key)) for key in keys)
    return Row(
        name=combination["name"],
        sha256=sha256,
        digest=combination["digest"],
        verdict=report["verdict"],
        signature=content["signature"],
        swept={key: value for key, value in found if value is not _ABSENT},
        group=canonical.digest({k: v for k, v in config.items() if k != _SEED}) if config else None,
        seed=config.get(_SEED),
        metrics=_last(report),
        divergence=_divergence(report),
        depends_on=tuple(report["scope"]["depends_on"]),
        runs=len(report["records"]["runs"]),
        seconds=_seconds(report),
    )


def _certificate(path: Path, digest: str) -> tuple[Certificate, str]:
    """A certificate of an experiment. It was verified when it was issued, and not again here."""
    content = signatories.read(path)
    got = content["report"]["experiment"]["digest"]
    if got != digest:
        raise SamebitsError(
            f"{path}: expected the certificate of the experiment {digest}, got one of {got}; "
            "delete it and run again"
        )
    return content, hashlib.sha256(path.read_bytes()).hexdigest()


def _value(config: Mapping[str, Any], key: str) -> Any:
    """What a config has for a swept key; for a group, the option that was chosen."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return node[_OPTION] if isinstance(node, Mapping) and _OPTION in node else node


def _last(report: Report) -> dict[str, float]:
    control = report["histories"].get(CONTROL)
    metrics = history.from_json(control) if control else {}
    return {name: values[-1] for name, values in metrics.items() if values}


def _divergence(report: Report) -> Mapping[str, Any] | None:
    """The divergence of the replica, or of the run that differs with the fewest changes."""
    runs = compared.compared(report)
    differing = compared.unexpected(runs)
    for run in [*(run for run in runs[:1] if run in differing), *differing]:
        if found := run.result["divergence"]:
            return {"run": run.run, **found}
    return None


def _seconds(report: Report) -> float:
    timings = [run.get("timing", {}) for run in report["records"]["runs"].values() if run]
    return float(sum(t["seconds"] for t in timings if isinstance(t.get("seconds"), int | float)))


# --- all rows together ---------------------------------------------------------------------------


def all_metrics(rows: Iterable[Row]) -> list[str]:
    """Every metric that any certificate has, each beside that on validation data, the loss last."""
    names = {name for row in rows for name in row.metrics}
    return sorted(names, key=lambda name: _place(name.removeprefix(VALIDATION), name))


def _place(metric: str, name: str) -> tuple[bool, bool, str, bool]:
    return metric == LOSS, metric != _USUAL, metric, name != metric


def primary_metrics(rows: Iterable[Row]) -> list[str]:
    """The most informative metric on training and on validation data; the last is compared."""
    names = all_metrics(rows)
    first = next((name for name in names if not name.endswith(LOSS)), LOSS)
    return [name for name in (first, f"{VALIDATION}{first}") if name in names]


def seed_spreads(rows: Iterable[Row], metric: str) -> dict[str, Spread]:
    """A metric over seeds by group, wherever experiments that are otherwise equal have several."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.group is not None and row.seed is not None and metric in row.metrics:
            groups.setdefault(row.group, []).append(row)
    return {key: _spread(found, metric) for key, found in groups.items() if len(found) > 1}


def _spread(rows: Sequence[Row], metric: str) -> Spread:
    finite = sorted(filter(math.isfinite, (row.metrics[metric] for row in rows)))
    swept = {key: value for key, value in rows[0].swept.items() if key != _SEED}
    return Spread(swept, finite, len(rows) - len(finite))


def write(sweep: Path, page: Path, table: Path) -> None:
    """Write page and table of a sweep.

    Raises SamebitsError, before anything is written, as ``read`` does.
    """
    listed, rows = canonical.read_json(sweep), read(sweep)
    text = render_table(rows, listed["keys"])
    files.write_bytes(page, render(rows, listed["name"], table.name, text).encode("utf-8"))
    files.write_bytes(table, text)  # last: if the table exists, so does the page


# --- page -------------------------------------------------------------------------------------

TEMPLATE = templates.FOLDER / "index.html.j2"
SORT = TEMPLATE.with_name("sort.js").read_text(encoding="utf-8")


def render(rows: Sequence[Row], name: str, file: str, table: bytes) -> str:
    """The page. ``file`` and ``table``: the name and the bytes of the CSV table."""
    metrics = primary_metrics(rows)
    spreads = seed_spreads(rows, metrics[-1]) if metrics else {}
    numbers = [number for spread in spreads.values() for number in spread.numbers]
    worst, number = [*_counts(rows)][-1]
    # The picture of a spread is 240 wide.
    axis = charts.Axis(min(numbers, default=0), max(numbers, default=0), 6, 234)
    return templates.template(TEMPLATE, _FILTERS).render(
        name=name,
        rows=rows,
        labels=[list(_labels(row)) for row in rows],
        looks=wording.LOOKS,
        worst=worst,
        headline=_headline(wording.LOOKS[worst].headline, number, len(rows)),
        ranks=list(wording.LOOKS),
        grid=_grid(rows),
        choices=list(_choices(rows)),
        script=SORT,
        script_digest=base64.b64encode(hashlib.sha256(SORT.encode()).digest()).decode(),
        metrics=metrics,
        title=title,
        counts=list(_counts(rows)),
        spreads=[(list(_pairs(s.swept)) or ["all"], s) for s in spreads.values()],
        axis=axis,
        file=file,
        digest=hashlib.sha256(table).hexdigest(),
    )


def _headline(verdict: str, number: int, of: int) -> str:
    """The worst verdict, and how many have it."""
    if of == 1:
        return verdict
    return f"{f'All {of:,}' if number == of else f'{number:,} of {of:,}'} {verdict.lower()}"


def _grid(rows: Sequence[Row]) -> dict[str, dict[int, Row]]:
    """The rows by what is swept beside the seed, and by the seed; none where one seed was tried."""
    grid: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row.seed is None or _SEED not in row.swept:
            return {}
        others = {key: value for key, value in row.swept.items() if key != _SEED}
        grid.setdefault(" ".join(_pairs(others)) or "seed", {})[row.seed] = row
    return grid if len({row.seed for row in rows}) > 1 else {}


def _choices(rows: Sequence[Row]) -> Iterator[tuple[str, list[Choice]]]:
    """By what the table is filtered, each with the values to choose from."""
    keys = dict.fromkeys(key for row in rows for key in row.swept)
    for what in ("verdict", "signature", *keys):
        found: dict[str, set[str]] = {}
        for row in rows:
            value = row.swept.get(what) if what in keys else getattr(row, what)
            found.setdefault(cell(value) or "null", set()).add(row.name)
        if 1 < len(found) <= _MOST_VALUES:
            styles = (f"c{canonical.digest([what, value])[:12]}" for value in found)
            yield what, [Choice(*one) for one in zip(found, styles, found.values(), strict=True)]


def title(metric: str) -> str:
    """A metric's name for people."""
    plain = metric.removeprefix(VALIDATION).replace("_", " ")
    return f"validation {plain}" if metric.startswith(VALIDATION) else plain


def shown(value: float | None) -> str:
    """A metric with few digits; the CSV table has all of them."""
    if value is None:
        return "–"
    return f"{value:.4f}" if math.isfinite(value) else charts.number(value)


_FILTERS = {"shown": shown, "duration": duration, "where": wording.where}


def _counts(rows: Sequence[Row]) -> Iterator[tuple[str, int]]:
    found = Counter(row.verdict for row in rows)
    return ((verdict, found[verdict]) for verdict in wording.LOOKS if found[verdict])


def _labels(row: Row) -> Iterator[str]:
    """A combination's values, or its name if the config does not have all of them."""
    if row.swept and all(f"{key}=" in row.name for key in row.swept):
        yield from _pairs(row.swept)
    else:
        yield row.name


def _pairs(swept: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key}={cell(value) or 'null'}" for key, value in swept.items())


# --- table ------------------------------------------------------------------------------------


def render_table(rows: Sequence[Row], keys: Sequence[str]) -> bytes:
    """One line per certificate, in their order. ``keys``: those that were swept."""
    metrics, primary = all_metrics(rows), primary_metrics(rows)
    spreads = seed_spreads(rows, primary[-1]) if primary else {}
    told = (_line(row, keys, metrics, spreads.get(row.group or "")) for row in rows)
    lines = [{_inert(name): _inert(value) for name, value in line.items()} for line in told]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, lines[0])  # its default, lines ending in CR LF, is RFC 4180
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode("utf-8")


def _inert(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula: such a text gets an apostrophe before it."""
    text = str(value)
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(_FORMULA) else text
    return text


def _line(
    row: Row, keys: Sequence[str], metrics: Sequence[str], spread: Spread | None
) -> dict[str, Any]:
    """The cells of a row by the names of their columns."""
    divergence = row.divergence or {}
    return {
        "combination": row.name,
        **{key: cell(row.swept.get(key)) for key in keys},
        "verdict": row.verdict,
        "signature": row.signature,
        **{f"last {m}": repr(row.metrics[m]) if m in row.metrics else "" for m in metrics},
        **_over_seeds(spread),
        **{f"divergence {what}": cell(divergence.get(what)) for what in ("run", "step", "epoch")},
        "divergence tensors": " ".join(divergence.get("tensors", ())),
        "depends on": ", ".join(row.depends_on),
        "runs": row.runs,
        "seconds": f"{row.seconds:.3f}",
        "experiment sha256": row.digest,
        "certificate": f"{row.name}/{CERTIFICATE_FILE}",
        "certificate sha256": row.sha256,
    }


def _over_seeds(spread: Spread | None) -> dict[str, str]:
    """The spread of the last metric that the page shows."""
    found = [""] * 4
    if spread and (numbers := spread.numbers):
        found = [str(len(numbers)), *map(repr, (numbers[0], spread.median, numbers[-1]))]
    columns = ("number", "minimum", "median", "maximum")
    return {f"{what} over seeds": value for what, value in zip(columns, found, strict=True)}


def cell(value: Any) -> str:
    """A value of a config: text as it is, nothing for null, JSON for the rest."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
