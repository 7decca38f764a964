"""A campaign of active learning as files: what was trained, scored, selected, asked and answered.

One folder per cycle; the existence of a file is the commit, and no file is ever changed. Whoever is
killed, whoever comes next makes the same decisions from what is there.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from rankloop.active.items import Item, candidate_pairs, items_of, pair_items
from rankloop.active.labels import Answer, Label, answers_of, labels_of, labels_table
from rankloop.active.selection import Strategy
from rankloop.datasets.dataset import Dataset, split_indices
from rankloop.datasets.loaders import file_loader
from rankloop.errors import ConfigError, StorageError
from rankloop.locking import locked
from rankloop.methods import find_method
from rankloop.methods.configuration import make_config
from rankloop.methods.method import Method, TrainingData
from rankloop.storage import Folder, read_parquet, write_parquet

PLAN, IMAGES, PAIRS, TRUTH = "campaign.json", "images.arrow", "pairs.parquet", "truth.parquet"
# Pairs that may be asked about, where the method learns from pairs: (a, b).
CANDIDATES = "candidates.parquet"
# Images that are missing or cannot be read: [image, reason].
SKIPPED = "skipped.json"
# Of a cycle, in the order in which they are made.
TRAINED, SCORES, SELECTED, ANSWERS, LABELS, DONE = (
    "trained.json",
    "scores.parquet",
    "selected.json",
    "answers.parquet",
    "labels.parquet",
    "done.json",
)
Labelling = Literal["held_out", "folder"]


@dataclass(frozen=True)
class Plan:
    """What a campaign does, fixed when it begins.

    Attributes:
        method: name of the method.
        config: its configuration, as JSON values.
        strategy: how items are selected.
        labelling: where labels come from.
        start: share of the items that are labelled at first, drawn at random.
        step: share of the items that each cycle asks about.
        seed: of everything random.
        warm_start: whether a cycle begins with the weights of the one before (Algorithm 1).
        pairs: K of eq. 15.
        dataset: name, score name, direction and annotator of the data.
        options: how the data were split and labelled.
    """

    method: str
    config: Mapping[str, Any]
    strategy: Strategy
    labelling: Labelling
    start: float
    step: float
    seed: int
    warm_start: bool
    pairs: int
    dataset: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Campaign:
    """A campaign's folder, and what is in it."""

    folder: Folder
    plan: Plan

    @property
    def method(self) -> Method:
        """The method."""
        return find_method(self.plan.method)

    @property
    def asks_pairs(self) -> bool:
        """Whether a question is which of two images is better, rather than the score of one."""
        return self.method.learns_from == "pairs"

    @cached_property
    def config(self) -> Any:
        """The method's configuration."""
        return make_config(self.method.config, dict(self.plan.config))

    @cached_property
    def dataset(self) -> Dataset:
        """All images as they were at the beginning, without labels that are held out."""
        return Dataset(
            images=_read_images(self.folder),
            pairs=read_parquet(self.folder, PAIRS),
            **self.plan.dataset,
        )

    @cached_property
    def image_names(self) -> list[str]:
        """Names of all images, by row."""
        names: list[str] = self.dataset.images["image"].to_pylist()
        return names

    @cached_property
    def truth(self) -> dict[str, Label]:
        """Labels that are held out, by question."""
        held_out = self.plan.labelling == "held_out"
        return labels_of(read_parquet(self.folder, TRUTH)) if held_out else {}

    @cached_property
    def items(self) -> dict[str, Item]:
        """What can be asked about, by name: items of which no image has a label at the beginning.

        Of held-out labels those of which all images have one. Where the method learns from pairs,
        the pairs that were drawn at the beginning, or whose labels are held out.
        """
        if self.asks_pairs:
            pairs = read_parquet(self.folder, CANDIDATES).to_pylist()
            drawn = pair_items(self.dataset, [(pair["a"], pair["b"]) for pair in pairs])
            return {item.name: item for item in drawn}
        images = self.image_names
        scores = self.dataset.images["score"].to_pylist()
        return {
            item.name: item
            for item in items_of(self.dataset)
            if all(scores[row] is None for row in item.rows)
            and (not self.truth or all(images[row] in self.truth for row in item.rows))
        }

    def cycle(self, number: int) -> Folder:
        """Folder of a cycle; the labels of cycle 0 are those that the campaign begins with."""
        return self.folder / f"cycle-{number:03d}"

    def cycles_done(self) -> int:
        """Number of cycles that are done."""
        number = 0
        while self.cycle(number).has(DONE):
            number += 1
        return number

    def selected(self, number: int) -> list[str]:
        """Items that a cycle selected."""
        names: list[str] = self.cycle(number).read_json(SELECTED)["items"]
        return names

    def labels(self, before: int) -> dict[str, Label]:
        """All labels that the cycles before one took in, by question; the newest of each."""
        found: dict[str, Label] = {}
        for number in range(before):
            if self.cycle(number).has(LABELS):
                found |= labels_of(read_parquet(self.cycle(number), LABELS))
        return found

    def answers(self, before: int) -> list[Answer]:
        """All answers that cycles before one took in; of each annotator the newest per question."""
        found = {(one.question, one.annotator): one for one in self._all_answers(before)}
        return list(found.values())

    def taken_files(self, before: int) -> dict[str, str]:
        """Files that cycles before one took answers from: digest of the content to name."""
        return {one.digest: one.file for one in reversed(self._all_answers(before))}

    def _all_answers(self, before: int) -> list[Answer]:
        cycles = [self.cycle(number) for number in range(before)]
        return [
            answer
            for cycle in cycles
            if cycle.has(ANSWERS)
            for answer in answers_of(read_parquet(cycle, ANSWERS))
        ]

    def pool(self, before: int) -> list[str]:
        """Items that no cycle before one asked about, sorted; those it could not show are back."""
        asked: set[str] = set()
        for number in range(before):
            cycle = self.cycle(number)
            shown = set(self.selected(number))
            hidden = set(cycle.read_json(DONE)["not_shown"]) if cycle.has(DONE) else set()
            asked |= {name for name in shown if hidden.isdisjoint(self.questions_of([name]))}
        return sorted(set(self.items) - asked)

    def labelled_items(self, before: int) -> set[str]:
        """Items of which all questions have a label."""
        known = set(self.labels(before))
        return {name for name in self.items if known.issuperset(self.questions_of([name]))}

    def questions_of(self, items: Sequence[str]) -> list[str]:
        """Questions of items, in their order: names of images, or of pairs."""
        if self.asks_pairs:
            return list(items)
        names = self.image_names
        return [names[row] for item in items for row in self.items[item].rows]

    def rows_of(self, question: str) -> tuple[int, ...]:
        """Row numbers of the images that a question is about: one, or the two of a pair (a, b)."""
        return self.items[question].rows if self.asks_pairs else (self._rows[question],)

    @cached_property
    def _unlabelled(self) -> np.ndarray:
        """Training rows without a score at the beginning: what ranks are learned from stays."""
        images = self.dataset.images
        known = images["score"].is_valid().to_numpy()
        rows = split_indices(self.dataset, "train")
        found: np.ndarray = rows[~known[rows]]
        return found

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.image_names)}

    def label_count(self, labels: Mapping[str, Label]) -> int:
        """How many labels training learns from: those that the data have themselves, and more."""
        used = [label for label in labels.values() if label.score or not self.asks_pairs]
        return len(self._own_values()) + len(used)

    def can_train(self, labels: Mapping[str, Label]) -> bool:
        """Whether some image is known to be better than another."""
        values = {*self._own_values(), *(label.score for label in labels.values())}
        return any(values) if self.asks_pairs else len(values) > 1

    def _own_values(self) -> list[float]:
        if self.asks_pairs:
            return [1.0] * self.dataset.pairs["split"].to_pylist().count("train")
        images = self.dataset.images.select(["split", "score"]).to_pylist()
        return [r["score"] for r in images if r["split"] == "train" and r["score"] is not None]

    def data(self, labels: Mapping[str, Label]) -> TrainingData:
        """Training data with labels taken in: scores of images, or the majority's order of pairs.

        A pair that as many call better as worse has no order.
        """
        dataset = self._with_orders(labels) if self.asks_pairs else self._with_scores(labels)
        load = file_loader(dataset, self.method.image_size(self.config))
        return TrainingData(dataset, load, unlabelled=self._unlabelled)

    def _with_orders(self, labels: Mapping[str, Label]) -> Dataset:
        names, known = self.image_names, self.dataset.pairs
        rows = []
        for question, label in sorted(labels.items()):
            a, b = (names[row] for row in self.rows_of(question))
            if label.score:
                better, worse = (a, b) if label.score > 0 else (b, a)
                rows.append({"better": better, "worse": worse, "split": "train"})
        more = pa.Table.from_pylist(rows, schema=known.schema)
        return replace(self.dataset, pairs=pa.concat_tables([known, more]))

    def _with_scores(self, labels: Mapping[str, Label]) -> Dataset:
        images, names = self.dataset.images, self.image_names
        for column in ("score", "spread"):
            values = images[column].to_pylist()
            for row, name in enumerate(names):
                if name in labels:
                    values[row] = getattr(labels[name], column)
            images = _with_column(images, column, values)
        return replace(self.dataset, images=images)


def create_campaign(folder: Folder, plan: Plan, dataset: Dataset) -> Campaign:
    """Begin a campaign, or open it if the folder holds the same one already.

    Held-out labels, those of the training split, are set aside.

    Raises:
        ConfigError: the folder holds another campaign; says what differs.
        LockedError: another call is about to begin one.
    """
    if not folder.has(PLAN):
        with locked(folder):
            # Another call may have begun it since.
            if not folder.has(PLAN):
                _write(folder, plan, dataset)
    known = open_campaign(folder)
    _check_same(folder, plan, known.plan)
    return known


def _write(folder: Folder, plan: Plan, dataset: Dataset) -> None:
    images, pairs = dataset.images, dataset.pairs
    asks_pairs = find_method(plan.method).learns_from == "pairs"
    candidates = candidate_pairs(dataset, plan.seed) if asks_pairs else []
    if plan.labelling == "held_out":
        if asks_pairs:
            pairs, candidates, truth = _held_out_pairs(pairs)
        else:
            images, truth = _held_out(images)
        write_parquet(folder, TRUTH, labels_table(truth))
    if asks_pairs:
        columns = {"a": [a for a, _ in candidates], "b": [b for _, b in candidates]}
        schema = pa.schema([("a", pa.string()), ("b", pa.string())])
        write_parquet(folder, CANDIDATES, pa.table(columns, schema=schema))
    _write_images(folder, images)
    write_parquet(folder, PAIRS, pairs)
    folder.write_json(SKIPPED, [list(entry) for entry in dataset.skipped])
    # Last: where it is, all is.
    folder.write_json(PLAN, asdict(plan))


def open_campaign(folder: Folder) -> Campaign:
    """Open a campaign.

    Raises:
        StorageError: there is none, or one of another version.
    """
    if not folder.has(PLAN):
        raise StorageError(f"there is no campaign in {folder}: begin one, or check --name")
    try:
        return Campaign(folder, Plan(**folder.read_json(PLAN)))
    except TypeError as error:
        raise StorageError(
            f"{folder}/{PLAN} is of another version ({error}): go on with the version that began "
            "the campaign, or give another --name"
        ) from error


def share_of(items: int, share: float, least: int = 1) -> int:
    """Return how many of so many items a share is: at least so many, at most all."""
    return min(items, max(least, round(share * items)))


def _check_same(folder: Folder, given: Plan, known: Plan) -> None:
    # As they are read back: tuples are lists there.
    one, other = (json.loads(json.dumps(asdict(plan))) for plan in (given, known))
    for name, value in one.items():
        if value != other[name]:
            nested = isinstance(value, dict) and isinstance(other[name], dict)
            fields = [key for key in value if value[key] != other[name].get(key)] if nested else []
            what = ", ".join(fields) or name
            raise ConfigError(
                f"{folder} is a campaign with another {what}: give the options that it began with, "
                "or another --name"
            )


# Parquet cannot hold lists of fixed length, such as crops, of which some are missing.
def _write_images(folder: Folder, images: pa.Table) -> None:
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, images.schema) as writer:
        writer.write_table(images)
    folder.write_bytes(IMAGES, buffer.getvalue())


def _read_images(folder: Folder) -> pa.Table:
    return pa.ipc.open_file(io.BytesIO(folder.read_bytes(IMAGES))).read_all()


def _held_out(images: pa.Table) -> tuple[pa.Table, dict[str, Label]]:
    truth: dict[str, Label] = {}
    rows = images.select(["image", "split", "score", "spread"]).to_pylist()
    for row in rows:
        if row["split"] == "train" and row["score"] is not None:
            truth[row["image"]] = Label(row["score"], row["spread"])
    for column in ("score", "spread"):
        values = [None if row["image"] in truth else row[column] for row in rows]
        images = _with_column(images, column, values)
    return images, truth


def _held_out_pairs(
    pairs: pa.Table,
) -> tuple[pa.Table, list[tuple[str, str]], dict[str, Label]]:
    """Pairs that stay, those to be asked about, and what is known of these."""
    rows = pairs.to_pylist()
    votes: dict[tuple[str, str], int] = {}
    for row in rows:
        if row["split"] == "train":
            # By name, so that the order of the two gives nothing away.
            a, b = sorted((row["better"], row["worse"]))
            votes[a, b] = votes.get((a, b), 0) + (1 if row["better"] == a else -1)
    # What votes and scores say the opposite of is not known.
    known = {pair: vote for pair, vote in votes.items() if vote}
    truth = {f"{a} | {b}": Label(1.0 if vote > 0 else -1.0) for (a, b), vote in known.items()}
    kept = [row for row in rows if row["split"] != "train"]
    return pa.Table.from_pylist(kept, schema=pairs.schema), list(known), truth


def _with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    field = table.schema.field(name)
    place = table.schema.get_field_index(name)
    return table.set_column(place, field, pa.array(values, field.type))
