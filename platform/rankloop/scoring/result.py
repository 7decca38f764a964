"""The result.json of a scoring job."""

import hashlib
from pathlib import Path

from rankloop.redaction import without_passwords
from rankloop.scoring.bulk import Summary
from rankloop.storage import Folder
from rankloop.training.experiment import versions


def write_scoring_result(
    storage: Folder, checkpoint: str, paths: tuple[str, ...], output: Path, summary: Summary
) -> Folder:
    """Write what was scored with what, and return the result folder; one per model and table.

    Args:
        storage: the folder of all results.
        checkpoint: where the model is, as it was given.
        paths: what was scored, as it was given.
        output: the table of scores.
        summary: what became of the images.
    """
    table = str(output.absolute())
    digest = hashlib.blake2b(f"{summary.digest} {table}".encode(), digest_size=5).hexdigest()
    folder = storage / "score" / f"{summary.method}-{digest}"
    folder.write_json(
        "result.json",
        {
            "method": summary.method,
            "config": dict(summary.config),
            "checkpoint": without_passwords(checkpoint),
            "scores_higher_is_better": summary.higher_is_better,
            "data": {
                "paths": [without_passwords(path) for path in paths],
                "scored": summary.scored,
                "failed": summary.failed,
                "first_failures": [list(failure) for failure in summary.failures],
            },
            "table": table,
            "versions": versions(),
        },
    )
    return folder
