import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import spearmanr

from rankloop.metrics import UNDEFINED
from rankloop.plots.arrangement import arrangement_figure
from rankloop.plots.comparison_plot import comparison_plot
from rankloop.plots.contact_sheet import contact_sheet
from rankloop.plots.count_errors import count_errors_figure
from rankloop.plots.density_maps import CrowdEstimate, density_figure
from rankloop.plots.misses import misplaced, misses_figure
from rankloop.plots.ranked_scores import ScoredSet, ranked_scores_figure
from rankloop.plots.score_plot import score_plot
from rankloop.plots.style import ending
from rankloop.plots.sweep_plots import optimization_history, parameter_importance
from rankloop.plots.training_curves import training_curves

PAPER = {
    "Baseline": {"Test1": 0.9285, "Test2": 0.9572},
    "+QRC": {"Test1": 0.9480, "Test2": 0.9723},
}


def png_size(figure: Figure) -> tuple[int, int]:
    file = BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file).size


def test_score_plot_shows_every_image_with_directions_and_srocc():
    rng = np.random.default_rng(0)
    labels = rng.uniform(0, 4, 50)
    scores = -labels + rng.normal(0, 0.5, 50)
    figure = score_plot(scores, labels, label_name="blur rank", labels_higher_is_better=False)
    (axes,) = figure.axes
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([labels, scores], axis=1))
    assert axes.get_xlabel() == "label: blur rank, lower is better"
    assert axes.get_ylabel() == "model's score, higher is better"
    assert f"SROCC {-spearmanr(scores, labels).statistic:.3f}" in axes.get_title()
    assert min(png_size(figure)) > 300


def test_score_plot_of_counts_says_what_higher_means():
    (axes,) = score_plot(
        [1.0, 2.0], [2.0, 3.0], label_name="heads", labels_higher_is_better=True,
        higher_means="more people",
    ).axes  # fmt: skip
    assert axes.get_xlabel() == "label: heads, higher means more people"
    assert axes.get_ylabel() == "model's score, higher means more people"


def test_score_plot_of_one_unit_says_how_far_scores_are():
    (axes,) = score_plot(
        [1.0, 4.0, 7.0], [2.0, 3.0, 10.0], label_name="heads", labels_higher_is_better=True,
        same_unit=True,
    ).axes  # fmt: skip
    # Always saying 5 would be wrong by 3, 2 and 5.
    assert "MAE 1.667 (of the mean for all: 3.333)" in axes.get_title()
    (line,) = axes.lines
    assert line.get_slope() == 1.0
    assert line.get_xy1()[0] == line.get_xy1()[1]


def test_the_papers_numbers_are_of_the_metric_that_is_drawn():
    paper = {"A": {"MAE": 77.7, "RMSE": 115.9}, "B": {"MAE": 73.6, "RMSE": 112.0}}
    _, theirs = comparison_plot({"A": [150.0], "B": [136.0]}, paper, "mae").axes
    drawn = [point[0] for points in theirs.collections for point in points.get_offsets().tolist()]
    assert drawn == [77.7, 73.6]
    assert theirs.get_xlabel() == "MAE"


def test_score_plot_turns_srocc_with_the_directions():
    figure = score_plot(
        [1.0, 2.0, 3.0],
        [1.0, 2.0, 3.0],
        label_name="MOS",
        labels_higher_is_better=True,
        scores_higher_is_better=False,
    )
    assert "SROCC -1.000" in figure.axes[0].get_title()
    assert figure.axes[0].get_ylabel() == "model's score, lower is better"


def test_score_plot_of_one_image_has_an_undefined_srocc():
    figure = score_plot([1.0], [2.0], label_name="MOS", labels_higher_is_better=True)
    assert "undefined" in figure.axes[0].get_title()


def reports(count: int, every: int = 10) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            step=every * (i + 1),
            metrics={"srocc": float("nan") if i == 0 else 0.1 * i},
            losses={
                step: {"ranking": 1.0 / (step + 1), "self_supervision": 0.5}
                for step in range(every * i, every * (i + 1))
            },
        )
        for i in range(count)
    ]


def test_training_curves_have_raw_and_smoothed_losses_and_metrics():
    figure = training_curves(reports(6))
    losses, metrics = figure.axes
    raw, smooth = losses.lines[0], losses.lines[1]
    np.testing.assert_array_equal(raw.get_xdata(), np.arange(1, 61))
    np.testing.assert_allclose(raw.get_ydata(), 1.0 / np.arange(1, 61))
    values = 1.0 / np.arange(1, 61)
    window = max(1, 60 // 25)
    expected = [values[max(0, i - window // 2) : i + window // 2 + 1].mean() for i in range(60)]
    np.testing.assert_allclose(smooth.get_ydata(), expected)
    assert smooth.get_ydata().std() < raw.get_ydata().std()
    assert [text.get_text() for text in losses.get_legend().get_texts()] == [
        "ranking",
        "self supervision",
    ]
    np.testing.assert_array_equal(metrics.lines[0].get_xdata(), [10, 20, 30, 40, 50, 60])
    assert metrics.get_xlabel() == "training step"
    assert "loss" in losses.get_ylabel()
    assert "validation" in metrics.get_ylabel()


def test_a_constant_loss_stays_constant_when_smoothed():
    smooth = training_curves(reports(20)).axes[0].lines[3]
    np.testing.assert_allclose(smooth.get_ydata(), 0.5)


def test_errors_and_correlations_have_panels_of_their_own():
    metrics = [{"mae": 300.0 / s, "srocc": 0.1 * s, "rmse": 400.0} for s in (1, 2, 3)]
    found = [SimpleNamespace(step=s, losses={}, metrics=some) for s, some in enumerate(metrics)]
    _, errors, correlations = training_curves(found).axes
    assert errors.get_ylabel() == "validation,\nlower is better"
    assert [line.get_label() for line in errors.lines] == ["MAE", "RMSE"]
    assert correlations.get_ylabel() == "validation,\nhigher is better"
    np.testing.assert_allclose(correlations.lines[0].get_ydata(), [0.1, 0.2, 0.3])


def test_training_curves_of_nothing_can_be_drawn():
    assert min(png_size(training_curves([]))) > 300


def study_of(values: list[float | None]) -> optuna.Study:
    """A study whose trials have these values; None is a trial stopped early at 0.25."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for value in values:
        trial = study.ask()
        trial.suggest_float("learning_rate", 0.0, 1.0)
        trial.suggest_float("margin", 0.0, 1.0)
        trial.report(0.25, 5)
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return study


def test_history_shows_finished_and_stopped_trials_and_the_best_so_far():
    (axes,) = optimization_history(study_of([0.5, None, 0.4, 0.8, None]), "srocc").axes
    finished, stopped = (points.get_offsets().tolist() for points in axes.collections)
    assert finished == [[0, 0.5], [2, 0.4], [3, 0.8]]
    assert stopped == [[1, 0.25], [4, 0.25]]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.5, 0.5, 0.8])
    assert axes.get_xlabel() == "trial"
    assert "higher is better" in axes.get_ylabel()


def test_history_does_not_call_another_trial_the_papers():
    (axes,) = optimization_history(study_of([None, 0.4]), "srocc").axes
    assert len(axes.lines) == 1


def test_history_of_an_empty_study_can_be_drawn():
    assert min(png_size(optimization_history(study_of([]), "srocc"))) > 200


def test_importance_shows_one_bar_per_parameter():
    study = study_of([])
    study.optimize(
        lambda trial: trial.suggest_float("matters", 0, 1) + 1e-3 * trial.suggest_float("no", 0, 1),
        n_trials=12,
    )
    figure = parameter_importance(study)
    assert figure is not None
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["no", "matters"]
    assert axes.patches[1].get_width() > 0.8
    assert "12 trials" in axes.get_xlabel()
    again = parameter_importance(study)
    assert again is not None
    assert [bar.get_width() for bar in again.axes[0].patches] == [
        bar.get_width() for bar in axes.patches
    ]


@pytest.mark.parametrize(
    "values", [[], [0.5], [0.5, *[None] * 12], [0.5] * 12, [0.1 * i for i in range(9)]]
)
def test_there_is_no_importance_without_variance_or_of_a_few_trials(values):
    assert parameter_importance(study_of(values)) is None


def test_comparison_shows_a_point_per_seed_and_the_papers_numbers():
    values = {"Baseline": [0.70, 0.74], "+QRC": [0.80, 0.78, float("nan")]}
    ours, theirs = comparison_plot(values, PAPER, "srocc").axes
    shown = [points.get_offsets()[:, 0].tolist() for points in ours.collections]
    assert [0.70, 0.74] in shown
    assert [0.80, 0.78] in shown
    assert [label.get_text() for label in ours.get_yticklabels()] == ["Baseline", "+QRC"]
    assert ours.get_xlabel() == "test SROCC, higher is better"
    assert theirs.get_xlabel() == "SROCC"
    assert "its data" in theirs.get_title()
    by_column = [points.get_offsets().tolist() for points in theirs.collections]
    assert by_column == [[[0.9285, 0], [0.9480, 1]], [[0.9572, 0], [0.9723, 1]]]


def test_comparison_never_calls_the_papers_numbers_by_our_metric():
    ours, theirs = comparison_plot({"Baseline": [0.7], "+QRC": [0.8]}, PAPER, "pair_accuracy").axes
    assert ours.get_xlabel() == "test pair accuracy, higher is better"
    assert theirs.get_xlabel() == "SROCC"


def test_comparison_draws_mean_and_sample_deviation():
    (axes,) = comparison_plot({"a": [0.2, 0.4]}, {}).axes
    container = axes.containers[0]
    assert container.lines[0].get_xdata() == pytest.approx([0.3])
    (segment,) = container.lines[2][0].get_segments()
    deviation = 0.1 * 2**0.5
    np.testing.assert_allclose(segment[:, 0], [0.3 - deviation, 0.3 + deviation])


def test_comparison_of_a_row_without_values_says_so():
    figure = comparison_plot({"a": [0.5], "b": []}, {})
    assert [text.get_text() for text in figure.axes[0].texts] == ["no value"]
    assert "1 seed" in figure.axes[0].get_title()


@pytest.mark.parametrize(
    ("higher_is_better", "order"), [(True, [2, 0, 1, 3]), (False, [1, 0, 2, 3])]
)
def test_contact_sheet_goes_from_best_to_worst(higher_is_better, order):
    images = np.stack([np.full((8, 10, 3), 40 * i, np.uint8) for i in range(4)])
    scores = np.array([0.5, 0.1, 0.9, np.nan])
    figure = contact_sheet(
        images, scores, columns=3, higher_is_better=higher_is_better, title="a title"
    )
    drawn = [axes for axes in figure.axes if axes.images]
    assert [int(axes.images[0].get_array()[0, 0, 0]) // 40 for axes in drawn] == order
    assert [axes.get_title() for axes in drawn] == [f"{scores[i]:.2f}" for i in order]
    assert figure.get_suptitle() == "a title"
    assert min(png_size(figure)) > 100


@pytest.mark.parametrize(("count", "scores"), [(0, []), (2, [1.0]), (2, [[1.0], [2.0]])])
def test_contact_sheet_wants_a_score_per_image(count, scores):
    with pytest.raises(ValueError, match="one score per image"):
        contact_sheet(np.zeros((count, 4, 4, 3), np.uint8), scores)


def test_an_arrangement_shows_images_and_pivots_after_each_transformer():
    random = np.random.default_rng(0)
    stages = [(random.normal(size=(12, 5)), random.normal(size=(4, 5))) for _ in range(2)]
    figure = arrangement_figure(stages, np.arange(12.0), np.arange(4.0))
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in drawn] == ["after transformer 1", "after transformer 2"]
    for axes in drawn:
        images, pivots = axes.collections
        assert images.get_offsets().shape == (12, 2)
        assert pivots.get_offsets().shape == (4, 2)
        np.testing.assert_allclose(images.get_array(), np.arange(12.0))
    assert png_size(figure)[0] > 0


def test_an_arrangement_at_one_point_is_drawn_so():
    stages = [(np.zeros((12, 5), np.float32), np.zeros((4, 5), np.float32))]
    figure = arrangement_figure(stages, np.arange(12.0), np.arange(4.0))
    images, pivots = figure.axes[0].collections
    assert not np.concatenate([images.get_offsets(), pivots.get_offsets()]).any()


def test_misses_show_scores_and_labels():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    groups = [("too low", images, [1.5, 2.0], [3.0, 4.25]), ("best", images[:1], [2.0], [2.0])]
    figure = misses_figure(groups)
    titles = [axes.get_title() for axes in figure.get_axes() if axes.images]
    assert titles == ["1.5 (3)", "2 (4.25)", "2 (2)"]
    assert png_size(figure)[0] > 0


def test_an_image_is_misplaced_by_the_images_it_should_and_does_stand_above():
    # The worst images are scored highest, and on another scale.
    scores, labels = [9e3, 5e3, 5e3, -1e3], [0.1, 0.3, 0.2, 0.9]

    def above(values, one):
        less = sum(other < values[one] for other in values)
        return less + sum(other == values[one] for other in values) / 2

    slow = [above(scores, one) - above(labels, one) for one in range(4)]
    np.testing.assert_allclose(misplaced(scores, labels), slow)
    assert slow == [3.0, -0.5, 0.5, -3.0]


def test_figures_leave_pyplot_alone():
    code = (
        "import sys, io; from rankloop.plots import "
        "comparison_plot, contact_sheet, score_plot, sweep_plots, training_curves; "
        "comparison_plot.comparison_plot({'a': [1.0]}, {}).savefig(io.BytesIO()); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_density_figure_shows_counts_and_shares_colours_within_a_row():
    truth = np.zeros((4, 6), np.float32)
    truth[1, 2] = 3.0
    shown = [
        CrowdEstimate("a", np.zeros((64, 96, 3), np.uint8), truth, truth / 2, 3.0),
        CrowdEstimate("b", np.zeros((64, 96, 3), np.uint8), None, truth / 3, 7.0),
    ]
    figure = density_figure(shown)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a", "true: 3", "predicted: 1.5", "b", "true: 7", "predicted: 1.0"]
    assert not figure.axes[4].images
    scales = [image.get_clim() for axes in figure.axes for image in axes.images]
    assert scales[1] == scales[2] == (0.0, 3.0)
    assert scales[-1] == pytest.approx((0.0, 1.0))
    assert min(png_size(figure)) > 200


def test_count_errors_have_a_box_and_points_for_each_range():
    errors = {"0-24": np.array([1.0, -2.0, 0.5]), "100-199": np.array([-30.0])}
    (axes,) = count_errors_figure(errors).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "0-24\n3 images",
        "100-199\n1 image",
    ]
    points = [collection.get_offsets()[:, 1].tolist() for collection in axes.collections]
    assert points == [[1.0, -2.0, 0.5], [-30.0]]


def test_violations_of_ranked_sets_are_marked():
    images = np.zeros((3, 20, 20, 3), np.uint8)
    violations = np.array([False, True, False])
    shown = ScoredSet("a", images, np.array([3.0, 4.0, 1.0]), violations)
    figure = ranked_scores_figure([shown, shown], "title")
    weights = [axes.title.get_fontweight() for axes in figure.axes]
    assert weights == ["normal", "bold", "normal"] * 2
    assert [axes.get_title() for axes in figure.axes] == ["3", "4", "1"] * 2
    assert figure.get_suptitle() == "title"


def test_history_of_errors_shows_them_as_they_are_and_undefined_ones_not_at_all():
    (axes,) = optimization_history(study_of([-30.0, UNDEFINED, -20.0]), "mae").axes
    assert axes.get_ylabel() == "validation MAE, lower is better"
    points = axes.collections[0].get_offsets()
    assert points.tolist() == [[0.0, 30.0], [2.0, 20.0]]
    assert axes.lines[0].get_ydata().tolist() == [30.0, 20.0]


def test_undefined_values_have_no_part_in_importances():
    study = study_of([])
    study.optimize(
        lambda trial: trial.suggest_float("matters", 0, 1) + 1e-3 * trial.suggest_float("no", 0, 1),
        n_trials=20,
    )
    before = parameter_importance(study)
    worst = optuna.trial.create_trial(
        params={"matters": 0.5, "no": 0.99},
        distributions=study.trials[0].distributions,
        value=UNDEFINED,
    )
    study.add_trial(worst)
    after = parameter_importance(study)
    assert before is not None
    assert after is not None
    widths = [[bar.get_width() for bar in figure.axes[0].patches] for figure in (before, after)]
    assert widths[0] == widths[1]


def test_long_names_show_how_they_end():
    assert ending("test_data/images/IMG_12.jpg", 12) == "…/IMG_12.jpg"
    assert ending("IMG_12.jpg", 10) == "IMG_12.jpg"
