import math

import pytest
import torch

from rankloop.losses.lsep import lsep_loss
from rankloop.losses.pairwise_ranking import pairwise_ranking_loss
from rankloop.losses.quadruplet_ranking_consistency import quadruplet_ranking_consistency_loss
from rankloop.losses.rankiqa import rankiqa_loss


def pairwise(first, second, margin=0.1):
    return pairwise_ranking_loss(first, second, torch.ones(len(first)), margin)


def qrc(first, second, margin=0.1):
    return quadruplet_ranking_consistency_loss(first, first, first, second, margin)


def rankiqa(better, worse, margin=0.1):
    return rankiqa_loss(better, worse, margin)


HINGES = pytest.mark.parametrize("loss", [pairwise, qrc, rankiqa])
ALL = pytest.mark.parametrize("loss", [pairwise, qrc, rankiqa, lsep_loss])


@ALL
def test_the_mean_over_no_pairs_is_refused(loss):
    with pytest.raises(ValueError, match="mean over no pairs"):
        loss(torch.zeros(0), torch.zeros(0))


@ALL
def test_shapes_that_would_broadcast_are_refused(loss):
    with pytest.raises(ValueError, match="different shapes"):
        loss(torch.zeros(3), torch.zeros(1))


@HINGES
def test_two_dimensions_are_refused(loss):
    with pytest.raises(ValueError, match="give 1 dimension"):
        loss(torch.zeros(3, 1), torch.zeros(3, 1))


def test_lsep_refuses_three_dimensions_and_sets_without_pairs():
    with pytest.raises(ValueError, match="give 1 or 2 dimension"):
        lsep_loss(torch.zeros(3, 1, 1), torch.zeros(3, 1, 1))
    with pytest.raises(ValueError, match="mean over no pairs"):
        lsep_loss(torch.zeros(3, 0), torch.zeros(3, 0))


@ALL
def test_integer_scores_are_refused(loss):
    with pytest.raises(ValueError, match="floating-point"):
        loss(torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))


@HINGES
@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_margins_that_are_negative_or_not_finite_are_refused(loss, margin):
    with pytest.raises(ValueError, match="margin is"):
        loss(torch.zeros(3), torch.zeros(3), margin)
