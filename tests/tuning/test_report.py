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
