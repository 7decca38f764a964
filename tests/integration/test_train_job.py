"""jobs/train.py as a user runs it: through Ray Train, killed, and run again."""

import json
import signal

import pytest
from job_processes import finish, kill_driver, start, wait_for
from safetensors.numpy import load_file

pytestmark = pytest.mark.integration

TRAIN = (
    *("ssranking", "--smoke", "--steps", "60", "--crops-per-photo", "10"),
    *("--checkpoint-every", "5", "--evaluate-every", "10"),
)


@pytest.mark.slow
def test_stopped_killed_and_run_again_it_ends_with_the_model_of_a_plain_uncut_run(tmp_path):
    _, plain = finish(start("train.py", tmp_path / "plain", *TRAIN, "--workers", "0"))
    storage = tmp_path / "killed"
    through_ray = (*TRAIN, "--workers", "1", "--data-workers", "1")
    process = start("train.py", storage, *through_ray)
    wait_for(process, "step 10 of 60")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.strip().endswith("stopped: run the same command again to go on")
    process = start("train.py", storage, *through_ray)
    wait_for(process, "step 30 of 60")
    kill_driver(process)
    (folder,) = (storage / "train").iterdir()
    steps = sorted(path.name for path in (folder / "checkpoints").glob("step-*"))
    assert steps
    assert steps[-1] < "step-000000060"
    _, again = finish(start("train.py", storage, *through_ray))
    assert again == folder
    expected = load_file(plain / "checkpoint" / "model.safetensors")
    found = load_file(again / "checkpoint" / "model.safetensors")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert tensor.tobytes() == found[name].tobytes(), name
    results = [json.loads((where / "result.json").read_text()) for where in (plain, again)]
    assert results[0]["metrics"] == results[1]["metrics"]
    for result in results:
        assert result["budget"] == {"steps": 60}
        assert set(result["metrics"]) == {"validation", "test"}
        assert result["versions"]["ray"]


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.slow
def test_sigterm_ends_as_ctrl_c_does(tmp_path, workers):
    process = start("train.py", tmp_path, *TRAIN, "--workers", workers)
    wait_for(process, "step 10 of 60")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.strip().endswith("stopped: run the same command again to go on")
    assert "SIGTERM received" not in output


@pytest.mark.slow
def test_rows_that_workers_cannot_share_are_refused_in_one_line(tmp_path):
    process = start("train.py", tmp_path / "results", *TRAIN, "--workers", "3")
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "error: 16 rows per step cannot be divided among 3 workers" in output
    assert "Traceback" not in output
