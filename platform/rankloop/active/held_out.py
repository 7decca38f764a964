"""Labels that the data set has and the campaign hides: the papers' protocol."""

from collections.abc import Sequence

from rankloop.active.campaign import Campaign
from rankloop.active.label_source import Answers


class HeldOutLabels:
    """Answers at once with the labels that were set aside."""

    def ask(self, campaign: Campaign, number: int, images: Sequence[str]) -> None:
        """Nobody needs to be asked."""

    def answers(self, campaign: Campaign, number: int, images: Sequence[str]) -> Answers:
        """Return the labels of the images."""
        return Answers({image: campaign.truth[image] for image in images}, images)

    def where(self, campaign: Campaign, number: int) -> str:
        """Nobody needs to put anything anywhere."""
        return ""
