"""A campaign of active learning as files: what was trained, scored, selected, asked and answered.

One folder per cycle; the existence of a file is the commit, and no file is ever changed. Whoever is
killed, whoever comes next makes the same decisions from what is there.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from rankloop.active.items import Item, items_of, pair_items
from rankloop.active.labels import Answer, Label, answers_of, labels_of
from rankloop.active.selection import Strategy
from rankloop.datasets.arrow import with_column
from rankloop.datasets.dataset import Dataset, split_indices
from rankloop.errors import DamagedFileError, StorageError
from rankloop.methods import find_method
from rankloop.methods.configuration import make_config
from rankloop.methods.file_data import file_data
from rankloop.methods.method import Method, TrainingData
from rankloop.plain_columns import check_plain
from rankloop.storage import Folder, read_parquet

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

    @property
    def asks_points(self) -> bool:
        """Whether an answer is where the heads of an image are."""
        return self.method.learns_from == "points"

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
        images, held_out = self.image_names, self.plan.labelling == "held_out"
        return {
            item.name: item
            for item in items_of(self.dataset)
            if not any(self._labelled[row] for row in item.rows)
            and (not held_out or all(images[row] in self.truth for row in item.rows))
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
        """Training rows without a label at the beginning: what ranks are learned from stays."""
        rows = split_indices(self.dataset, "train")
        found: np.ndarray = rows[~self._labelled[rows]]
        return found

    @cached_property
    def _labelled(self) -> np.ndarray:
        """Of each image whether it has the label that is learned from, bool (n,)."""
        column = "points" if self.asks_points else "score"
        found: np.ndarray = self.dataset.images[column].is_valid().to_numpy()
        return found

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.image_names)}

    def label_count(self, labels: Mapping[str, Label]) -> int:
        """How many labels training learns from: those that the data have themselves, and more."""
        used = [label for label in labels.values() if label.score or not self.asks_pairs]
        return len(self._own_values()) + len(used)

    def can_train(self, labels: Mapping[str, Label]) -> bool:
        """Whether some image is known to be better than another, or where the heads of one are."""
        values = {*self._own_values(), *(label.score for label in labels.values())}
        return any(values) if self.asks_pairs else len(values) > (0 if self.asks_points else 1)

    def _own_values(self) -> list[float]:
        if self.asks_pairs:
            return [1.0] * self.dataset.pairs["split"].to_pylist().count("train")
        rows = split_indices(self.dataset, "train")
        found: list[float] = (
            self.dataset.images["score"].take(rows[self._labelled[rows]]).to_pylist()
        )
        return found

    def data(self, labels: Mapping[str, Label]) -> TrainingData:
        """Training data with labels taken in: scores of images, or the majority's order of pairs.

        A pair that as many call better as worse has no order.
        """
        dataset = self._with_orders(labels) if self.asks_pairs else self._with_scores(labels)
        data = file_data(dataset, self.method.image_size(self.config))
        return replace(data, unlabelled=self._unlabelled)

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
        columns = ["score", "spread", *(["points"] if self.asks_points else [])]
        for column in columns:
            values = images[column].to_pylist()
            for row, name in enumerate(names):
                if name in labels:
                    values[row] = getattr(labels[name], column)
            images = with_column(images, column, values)
        return replace(self.dataset, images=images)


def described(dataset: Dataset) -> dict[str, Any]:
    """Return what a plan says of its dataset."""
    return {
        "name": dataset.name,
        "higher_is_better": dataset.higher_is_better,
        "score_name": dataset.score_name,
        "annotator": dataset.annotator,
    }


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
            f"{folder / PLAN} is of another version ({error}): go on with the version that began "
            "the campaign, or give another --name"
        ) from error


def share_of(items: int, share: float, least: int = 1) -> int:
    """Return how many of so many items a share is: at least so many, at most all."""
    return min(items, max(least, round(share * items)))


def _read_images(folder: Folder) -> pa.Table:
    data = folder.read_bytes(IMAGES)
    try:
        table = pa.ipc.open_file(io.BytesIO(data)).read_all()
        check_plain(table.schema)
        return table
    except (ValueError, OSError, pa.ArrowException) as error:
        raise DamagedFileError(f"{folder / IMAGES} is not a table of ours: {error}") from error
