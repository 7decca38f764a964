"""The result.json of a scoring job."""

import hashlib
from collections.abc import Sequence

from rankloop.redaction import without_passwords
from rankloop.scoring.bulk import Summary
from rankloop.scoring.output import Output
from rankloop.scoring.scorer import checkpoint_digest
from rankloop.storage import Folder
from rankloop.training.checkpoints import Checkpoint
from rankloop.training.experiment import versions


def scoring_folder(storage: Folder, model: Checkpoint, what: str) -> Folder:
    """Return the result folder of a model and of what else makes a scoring: its table, or images.

    Args:
        storage: the folder of all results.
        model: what scores.
        what: names the table, or what is scored.
    """
    text = f"{checkpoint_digest(model)} {what}"
    digest = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
    return storage / "score" / f"{model.config['method']}-{digest}"


def write_scoring_result(
    folder: Folder, checkpoint: str, paths: Sequence[str], output: Output, summary: Summary
) -> None:
    """Write what was scored with what.

    Args:
        folder: the result folder.
        checkpoint: where the model is, as it was given.
        paths: what was scored, as it was given.
        output: the table of scores.
        summary: what became of the images.
    """
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
            "table": str(output),
            "versions": versions(),
        },
    )
