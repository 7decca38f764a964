"""What the jobs say at their end."""

from rankloop.storage import open_folder
from rankloop.tuning.report import (
    comparison_report,
    median,
    short_names,
    spread,
    sweep_report,
    training_report,
)

RESULT = {
    "method": "ssranking",
    "config": {"backbone": "shallow", "input_size": 72},
    "data": {"name": "samples", "annotator": "synthetic, error rate 0.05"},
    "seeds": [0],
    "budget": {"steps": 360},
    "selection_metric": "srocc",
    "failures": [],
    "note": "The paper is silent.",
    "split": {"validation": {"images": 45}},
    "mlflow_comparison": "http://127.0.0.1:5000/#/compare-runs",
}
TRIALS = {"finished": 1, "stopped_early": 2, "failed": 0, "to_go_on_with": 3}


def sweep(best: float | None, best_supervised: float | None) -> dict:
    roles = {"best": best, "best_supervised": best_supervised, "paper": 0.4}
    return RESULT | {
        "trials": TRIALS,
        "best_trial": 3,
        "baseline": "labels only",
        "best_values": {"learning_rate": 0.0123456},
        "paper_values": {"learning_rate": 0.001},
        "metrics": {
            role: {"validation": {"srocc": value}, "test": {"srocc": 0.75}}
            for role, value in roles.items()
        },
    }


def test_the_report_of_a_sweep_says_what_was_trained_and_on_whose_labels(tmp_path):
    folder = open_folder(str(tmp_path))
    (folder / "checkpoint").write_bytes("state.json", b"{}")
    text = sweep_report(sweep(0.8, 0.6), folder, folder)
    assert "labels: synthetic, error rate 0.05" in text
    assert "shallow on 72 x 72 pixels" in text
    assert "1 finished, 2 stopped early, 0 failed, 3 to go on with" in text
    lines = text.splitlines()
    (best,) = [line for line in lines if line.startswith("best trial  ")]
    assert best.split()[2:] == ["0.8000", "0.7500"]
    (rate,) = [line for line in lines if line.startswith("learning_rate")]
    assert rate.split()[1:] == ["0.01235", "0.001"]
    assert f"checkpoint: {tmp_path}/checkpoint" in text
    assert "mlflow ui --backend-store-uri" in text


def test_a_winner_that_loses_to_its_own_baseline_is_pointed_out(tmp_path):
    folder, warning = open_folder(str(tmp_path)), "does better with labels only"
    assert warning in sweep_report(sweep(0.6, 0.8), folder, folder)
    assert warning not in sweep_report(sweep(0.8, 0.6), folder, folder)
    assert warning not in sweep_report(sweep(0.8, None), folder, folder)


def test_undefined_metrics_are_said_to_be_undefined(tmp_path):
    folder = open_folder(str(tmp_path))
    metrics = {"validation": {"pair_accuracy": 0.5}, "test": {"srocc": None}}
    result = RESULT | {"metrics": metrics, "replaced_images": {}}
    first = [
        "validation (labels: synthetic, error rate 0.05): pair accuracy 0.5000",
        "test (labels: synthetic, error rate 0.05): SROCC undefined",
    ]
    assert training_report(result, folder, folder).splitlines()[:2] == first
    lacks = "MLflow lacks some of this: run the same command again when it works"
    assert lacks not in training_report(result, folder, folder)
    assert lacks in training_report(result | {"mlflow_lacks": True}, folder, folder)
    result |= {"replaced_images": {"a.jpg": 3, "b.jpg": 1}}
    assert training_report(result, folder, folder).splitlines()[:3] == [
        *first,
        "2 images could no longer be read while training, and others took their place (4 times in "
        "all; result.json lists them): a.jpg, b.jpg",
    ]


def test_a_comparison_shows_how_many_seeds_a_mean_has(tmp_path):
    folder = open_folder(str(tmp_path))
    result = RESULT | {
        "seeds": [0, 1],
        "paper": {"Baseline": {"Test1": 0.9285}, "+QRC": {"Test1": 0.948}},
        "metrics": {
            "Baseline": {"validation": {"srocc": [0.5, 0.7]}, "test": {"srocc": [0.6, 0.8]}},
            "+QRC": {"validation": {"srocc": [0.9]}, "test": {"srocc": [0.95]}},
        },
        "failures": [{"run": "qrc-seed-1", "error": "NaN"}],
    }
    text = comparison_report(result, folder, folder)
    assert "0.6000 ± 0.1414" in text
    assert "0.7000 ± 0.1414" in text
    assert "0.9500 (1 of 2 seeds)" in text
    assert "0.9285" in text
    assert "failed: qrc-seed-1: NaN" in text


def _counted(**test: list[float]) -> dict:
    return {"validation": {"mae": [9.0]}, "test": test}


def test_a_comparison_of_counts_shows_all_errors_by_range_and_by_scene(tmp_path):
    folder = open_folder(str(tmp_path))
    first = {"mae": [10.0], "rmse": [14.0], "mae/104207": [5.5]}
    second = {"mae": [8.0], "rmse": [12.5], "mae/100-199": [20.0], "mae_spread/100-199": [3.25]}
    result = RESULT | {
        "selection_metric": "mae",
        "paper": {"Counting": {"mae/104207": 5.0}, "Both": {}},
        "metrics": {
            "Counting": _counted(**first, **{"mae/25-49": [4.0]}),
            "Both": _counted(**second),
        },
    }
    lines = comparison_report(result, folder, folder).splitlines()
    # The paper gives no RMSE.
    (header,) = [line for line in lines if "validation MAE" in line]
    assert header.split() == ["validation", "MAE", "test", "MAE", "test", "RMSE"]
    (both,) = [line for line in lines if line.startswith("Both")]
    assert both.split()[1:] == ["9.0000", "8.0000", "12.5000"]
    start = lines.index(next(line for line in lines if line.startswith("test MAE by count or s")))
    assert lines[start].split()[6:] == ["Counting", "Both", "paper", "Counting"]
    assert [line.split() for line in lines[start + 2 : start + 5]] == [
        ["25-49", "4.0000", "undefined"],
        ["100-199", "undefined", "20.0000"],
        ["104207", "5.5000", "undefined", "5.0000"],
    ]
    start = lines.index(next(line for line in lines if line.startswith("standard deviation of e")))
    assert lines[start + 2].split() == ["100-199", "undefined", "3.2500"]


def test_a_sweep_of_counts_shows_both_errors(tmp_path):
    folder = open_folder(str(tmp_path))
    result = sweep(0.8, 0.6) | {"selection_metric": "mae"}
    result["metrics"] = {"best": {"validation": {"mae": 3.0}, "test": {"mae": 4.0, "rmse": 5.0}}}
    lines = sweep_report(result, folder, folder).splitlines()
    assert any("test RMSE" in line for line in lines)
    (best,) = [line for line in lines if line.startswith("best trial  ")]
    assert best.split()[2:] == ["3.0000", "4.0000", "5.0000"]


def test_the_spread_of_one_value_is_not_made_up():
    assert spread([0.5]) == "0.5000"
    assert spread([0.5, None]) == "0.5000"
    assert spread([None]) == "undefined"


def test_sources_are_called_by_what_tells_them_apart():
    whole = ["clive:/data/clive/", "csv:../a/scores.csv?higher_is_better=true", "koniq10k:s3://b/k"]
    assert list(short_names(whole).values()) == ["clive:clive", "csv:scores.csv", "koniq10k:k"]
    twice = ["csv:a/scores.csv", "csv:b/scores.csv", "clive:"]
    assert list(short_names(twice).values()) == twice


def test_a_median_of_one_value_has_no_range():
    assert median([0.25]) == "0.2500"
    assert median([0.25, None, 0.75, 0.5]) == "0.5000 (0.2500 to 0.7500)"
    assert median([None, float("nan")]) == "undefined"


def test_what_mlflow_lacks_is_said(tmp_path):
    folder = open_folder(str(tmp_path))
    assert "MLflow lacks" not in sweep_report(sweep(0.8, 0.6), folder, folder)
    some = sweep_report(sweep(0.8, 0.6) | {"mlflow_lacks": True}, folder, folder)
    assert some.endswith(
        f"{RESULT['mlflow_comparison']}\nMLflow lacks some of this: run the same "
        "command again when it works"
    )
    none = sweep(0.8, 0.6) | {"mlflow_comparison": "", "mlflow_lacks": True}
    assert sweep_report(none, folder, folder).count("MLflow lacks") == 1
