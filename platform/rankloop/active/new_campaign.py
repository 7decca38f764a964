"""How a campaign begins: held-out labels are set aside, and what may be asked about is drawn."""

import io
import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rankloop.active.campaign import (
    CANDIDATES,
    IMAGES,
    PAIRS,
    PLAN,
    SKIPPED,
    TRUTH,
    Campaign,
    Plan,
    open_campaign,
    share_of,
)
from rankloop.active.items import candidate_pairs
from rankloop.active.labels import Label, labels_table
from rankloop.active.selection import random_items
from rankloop.datasets.arrow import with_column
from rankloop.datasets.dataset import Dataset
from rankloop.errors import ConfigError, DataError
from rankloop.locking import locked
from rankloop.methods import find_method
from rankloop.redaction import without_passwords
from rankloop.storage import Folder, write_parquet


def create_campaign(folder: Folder, plan: Plan, dataset: Dataset) -> Campaign:
    """Begin a campaign, or open it if the folder holds the same one already.

    Held-out labels, those of the training split, are set aside.

    Raises:
        ConfigError: the folder holds another campaign (says what differs), the method cannot learn
            from as few labels as this one begins with, or the images' URIs hold a password.
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
    _refuse_passwords(images)
    learns_from = find_method(plan.method).learns_from
    asks_pairs = learns_from == "pairs"
    candidates = candidate_pairs(dataset, plan.seed) if asks_pairs else []
    if plan.labelling == "held_out":
        if asks_pairs:
            pairs, candidates, truth = _held_out_pairs(pairs)
        else:
            images, truth = _held_out(images, with_points=learns_from == "points")
            # What scores say of the order of two images is as hidden as the scores.
            pairs = pairs.filter(pc.not_equal(pairs["split"], "train"))
        write_parquet(folder, TRUTH, labels_table(truth))
    if asks_pairs:
        columns = {"a": [a for a, _ in candidates], "b": [b for _, b in candidates]}
        schema = pa.schema([("a", pa.string()), ("b", pa.string())])
        write_parquet(folder, CANDIDATES, pa.table(columns, schema=schema))
    _write_images(folder, images)
    write_parquet(folder, PAIRS, pairs)
    folder.write_json(SKIPPED, [list(entry) for entry in dataset.skipped])
    _check_first_labels(Campaign(folder, plan))
    # Last: where it is, all is.
    folder.write_json(PLAN, asdict(plan))


def _refuse_passwords(images: pa.Table) -> None:
    """Refuse image URIs that hold one, since a campaign writes down where its images are."""
    for uri in images["uri"].to_pylist():
        shown = without_passwords(uri)
        if shown != uri and not uri.startswith("data:"):
            raise ConfigError(
                f"the campaign would write down the password in the URI of {shown}: leave it out "
                "of --data and give it in the environment, for S3 as AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )


def first_items(campaign: Campaign) -> list[str]:
    """Items whose labels the campaign asks for at first: none if the data have labels to train."""
    pool = campaign.pool(0)
    count = 0 if campaign.can_train({}) else share_of(len(pool), campaign.plan.start, 2)
    return random_items(pool, count, seed=campaign.plan.seed, cycle=0)


def _check_first_labels(campaign: Campaign) -> None:
    """Refuse what could not train on its first labels, while its options can still be changed."""
    plan = campaign.plan
    questions = campaign.questions_of(first_items(campaign))
    if plan.labelling == "held_out":
        labels = {question: campaign.truth[question] for question in questions}
    else:
        # The best that people can answer: no two scores are equal.
        labels = {
            question: Label(float(1 + i), points=((0.0, 0.0),))
            for i, question in enumerate(questions)
        }
    try:
        campaign.method.streams(campaign.config, campaign.data(labels), plan.seed)
    except (ConfigError, DataError) as error:
        remedy = f"; or give a larger --start-share (now {plan.start})" if questions else ""
        raise ConfigError(
            f"{plan.method} cannot learn from the {campaign.label_count(labels)} labels that the "
            f"campaign would begin with: {error}{remedy}"
        ) from error


def _check_same(folder: Folder, given: Plan, known: Plan) -> None:
    # As they are read back: tuples are lists there.
    one, other = (json.loads(json.dumps(asdict(plan))) for plan in (given, known))
    for name, value in one.items():
        if value != other[name]:
            nested = isinstance(value, dict) and isinstance(other[name], dict)
            fields = [key for key in value if value[key] != other[name].get(key)] if nested else []
            differing = (
                [_differing(key, value[key], other[name].get(key)) for key in fields]
                if nested
                else [_differing(name, value, other[name])]
            )
            raise ConfigError(
                f"{folder} is a campaign {', '.join(differing)}: give the options that it began "
                "with, or begin another with another --name"
            )


def _differing(name: str, given: Any, known: Any) -> str:
    return f"with {name.replace('_', ' ')} {known} and not {given}"


# Parquet cannot hold lists of fixed length, such as crops, of which some are missing.
def _write_images(folder: Folder, images: pa.Table) -> None:
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, images.schema) as writer:
        writer.write_table(images)
    folder.write_bytes(IMAGES, buffer.getvalue())


def _held_out(images: pa.Table, *, with_points: bool) -> tuple[pa.Table, dict[str, Label]]:
    truth: dict[str, Label] = {}
    columns = ["score", "spread", "points"]
    rows = images.select(["image", "split", *columns]).to_pylist()
    for row in rows:
        labelled = row["points"] is not None if with_points else row["score"] is not None
        if row["split"] == "train" and labelled:
            points = None if row["points"] is None else tuple((x, y) for x, y in row["points"])
            truth[row["image"]] = Label(row["score"], row["spread"], points=points)
    for column in columns:
        values = [None if row["image"] in truth else row[column] for row in rows]
        images = with_column(images, column, values)
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
