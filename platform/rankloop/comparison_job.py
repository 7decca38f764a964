"""What the jobs that compare share: options, the place of the result, the report."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rankloop.command_line import JobOptions, at_least, refuse_swept
from rankloop.datasets.options import DataOptions
from rankloop.errors import ConfigError
from rankloop.methods.configuration import make_config
from rankloop.methods.method import Method
from rankloop.storage import open_folder
from rankloop.training.experiment import Prepared, check_weights, prepare_data, result_folder
from rankloop.tuning.comparison import Row
from rankloop.tuning.cross_comparison import run_cross_comparison
from rankloop.tuning.report import comparison_report, cross_report
from rankloop.tuning.split_comparison import (
    merged_results,
    run_split_comparison,
    save_comparison_plot,
)


@dataclass(frozen=True)
class ComparisonOptions(JobOptions):
    """Options of the jobs that compare; --workers is the number of runs at once."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of initial weights and order of examples; each row is trained once per seed, and per
    split where there are several."""


@dataclass(frozen=True)
class SplitComparisonOptions(ComparisonOptions):
    """Options of the jobs that compare on several splits."""

    splits: int = 1
    """How often the data are split anew. The papers: 10."""
    only: tuple[str, ...] = ()
    """Rows to train, by name; all by default."""


def check_comparison(method: Method, options: Any, rows: Sequence[Row]) -> None:
    """Refuse what a comparison would ignore or cannot do.

    Args:
        method: what is trained.
        options: ComparisonOptions with the method's ``config``.
        rows: what is compared.

    Raises:
        ConfigError: names the option, its value and the limit.
    """
    at_least(0, data_workers=options.data_workers or 0)
    at_least(1, workers=options.workers)
    check_seeds(options.seeds)
    varied = {name: value for row in rows for name, value in row.values.items()}
    refuse_swept(options.config, varied, options.smoke, method=method.name)
    given = options.config.model_dump()
    for row in rows:
        try:
            make_config(type(options.config), {**given, **row.values})
        except ConfigError as error:
            raise ConfigError(f"row {row.name!r}: {error}") from error


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse no seeds, and one that is given twice.

    Raises:
        ConfigError: says which were given.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        given = " ".join(map(str, seeds)) or "without a value"
        raise ConfigError(f"--seeds {given}: give at least one seed, and each once")


def chosen_rows(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """Return the rows of the names given, in the table's order; all rows where none is given.

    Raises:
        ConfigError: there is no such row; says the nearest.
    """
    names = [row.name for row in rows]
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            raise ConfigError(f"--only {name!r} is no row: the nearest is {near[0]!r}")
    return [row for row in rows if not only or row.name in only]


def split_data(data: DataOptions, method: Method, config: Any) -> Callable[[int], Prepared]:
    """Return (seed of a split) to data split by it; the last split is kept, not read again."""

    @lru_cache(maxsize=1)
    def prepare(split: int) -> Prepared:
        return prepare_data(replace(data, seed=split), method, config)

    return prepare


def compare_on_splits(
    job: str,
    method: Method,
    options: Any,
    rows: Sequence[Row],
    *,
    study: str,
    note: str,
    beside: Sequence[tuple[Method, Any, Sequence[Row]]] = (),
    prepare: Callable[[int], Prepared] | None = None,
    splits: Sequence[int] | None = None,
    identity: Mapping[str, Any] | None = None,
) -> str:
    """Run a comparison, or go on with one that was cut off; print its report, return its folder.

    Args:
        job: name of the job, and of the folder of its results.
        method: what is trained.
        options: SplitComparisonOptions with the method's ``config``, checked by `check_comparison`.
        rows: what is compared.
        study: which table the rows are of.
        note: what a reader must know of the paper's numbers.
        beside: other methods with their configurations and rows, which come first in the table.
        prepare: number of a split to its data; by default (seed) to the data split by it.
        splits: numbers of the splits; by default ``--seed`` and those after it, ``--splits`` many.
        identity: further options that another result belongs to.

    Raises:
        ConfigError: ``--splits`` is below 1.
    """
    at_least(1, splits=options.splits)
    config = options.config
    identity = {
        "config": config.model_dump(mode="json"),
        "data": options.data,
        "study": study,
        "seeds": options.seeds,
        "splits": options.splits,
        "only": options.only,
        **(identity or {}),
    }
    prepare = prepare or split_data(options.data, method, config)
    splits = splits or [options.data.seed + number for number in range(options.splits)]
    first = prepare(splits[0])
    for each, own, some in ((method, config, rows), *beside):
        given = own.model_dump()
        check_weights(each, [make_config(type(own), {**given, **row.values}) for row in some])
    folder = result_folder(options.storage, job, method.name, first, identity)
    storage = open_folder(options.storage)
    results = [
        run_split_comparison(
            each.name,
            own_config,
            own_rows,
            sorted(options.seeds),
            splits,
            prepare,
            own_folder,
            storage,
            options.workers,
            options.data_workers,
            note=_noted(note, options),
        )
        for each, own_config, own_rows, own_folder in (
            *((each, own, some, folder / each.name) for each, own, some in beside),
            (method, config, rows, folder),
        )
        if own_rows
    ]
    result = merged_results(results)
    if beside:
        folder.write_json("result.json", result)
        save_comparison_plot(result, folder)
    print(comparison_report(result, folder, storage))
    return str(folder)


def compare_across_sources(
    job: str,
    method: Method,
    options: Any,
    *,
    study: str,
    note: str,
    paper: Mapping[str, Mapping[str, float]],
) -> str:
    """Train on each data source and evaluate on every other, or go on with what was cut off.

    Prints the report and returns the folder of the results.

    Args:
        job: name of the job, and of the folder of its results.
        method: what is trained.
        options: SplitComparisonOptions with the method's ``config``, checked by `check_comparison`.
        study: which table it is.
        note: what a reader must know of the paper's numbers.
        paper: SROCC by the readers of the sources: trained on, evaluated on.

    Raises:
        ConfigError: fewer than two sources, one of them twice, or an option that has no use here.
    """
    at_least(1, splits=options.splits)
    sources = options.data.data
    if len(sources) < 2 or len(set(sources)) < len(sources):
        raise ConfigError(
            f"--study {study} with --data {' '.join(sources)}: give at least two data sources, and "
            "each once"
        )
    if options.only:
        raise ConfigError(f"--only has no rows to choose from in --study {study}: leave it out")
    config = options.config
    prepare = {
        source: split_data(replace(options.data, data=(source,)), method, config)
        for source in sources
    }
    splits = [options.data.seed + number for number in range(options.splits)]
    identity = {
        "config": config.model_dump(mode="json"),
        "data": options.data,
        "study": study,
        "seeds": options.seeds,
        "splits": options.splits,
        "others": [prepare[source](splits[0]).data.dataset.name for source in sources],
    }
    first = prepare[sources[0]](splits[0])
    folder = result_folder(options.storage, job, method.name, first, identity)
    storage = open_folder(options.storage)
    readers = {source: source.partition(":")[0] for source in sources}
    result = run_cross_comparison(
        method.name,
        config,
        prepare,
        sorted(options.seeds),
        splits,
        folder,
        storage,
        options.workers,
        options.data_workers,
        paper={
            one: {
                other: paper[readers[one]][readers[other]]
                for other in sources
                if readers[other] in paper.get(readers[one], {})
            }
            for one in sources
        },
        note=_noted(note, options),
    )
    print(cross_report(result, folder, storage))
    return str(folder)


def _noted(note: str, options: Any) -> str:
    return f"{note} Numbers of --smoke mean nothing." if options.smoke else note
