"""jobs/compare_qrc.py as a user runs it."""

import json
import re

import pytest
from job_processes import finish, start

pytestmark = pytest.mark.integration

ROWS = ["Baseline", "+RankIQA loss", "+LSEP loss", "+QRC"]


@pytest.mark.slow
def test_four_rows_are_trained_alike_and_shown_beside_the_papers(tmp_path):
    import mlflow

    storage = tmp_path / "results"
    output, folder = finish(
        start("compare_qrc.py", storage, "--smoke", "--steps", "12", "--workers", "2")
    )
    result = json.loads((folder / "result.json").read_text())
    assert list(result["metrics"]) == ROWS
    assert result["seeds"] == [0, 1]
    assert result["paper"]["+QRC"] == {"Test1": 0.948, "Test2": 0.9723, "Test3": 0.933}
    for row in ROWS:
        for split in ("validation", "test"):
            assert len(result["metrics"][row][split]["srocc"]) == 2
        assert f"{sum(result['metrics'][row]['test']['srocc']) / 2:.4f}" in output
    # A row's numbers are those of its runs.
    run = json.loads((folder / "runs" / "qrc-seed-1" / "result.json").read_text())
    assert run["metrics"]["test"]["srocc"] == result["metrics"]["+QRC"]["test"]["srocc"][1]
    assert run["config"]["self_supervision"] == "qrc"

    again, _ = finish(
        start("compare_qrc.py", storage, "--smoke", "--steps", "12", "--workers", "2")
    )
    assert not re.findall("starts: |goes on from", again)
    assert json.loads((folder / "result.json").read_text())["metrics"] == result["metrics"]

    client = mlflow.MlflowClient(f"sqlite:///{storage}/mlflow.db")
    experiment = client.get_experiment_by_name("ssranking")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 1 + 2 * len(ROWS)
    artifacts = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"result.json", "plots"} <= artifacts
    assert parent.data.metrics["QRC/test/srocc"] == pytest.approx(
        sum(result["metrics"]["+QRC"]["test"]["srocc"]) / 2
    )
