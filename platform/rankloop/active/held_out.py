"""Labels that the data set has and the campaign hides: the papers' protocol."""

from collections.abc import Sequence

from rankloop.active.campaign import Campaign
from rankloop.active.label_source import Answers


class HeldOutLabels:
    """Answers at once with the labels that were set aside."""

    def ask(self, campaign: Campaign, number: int, questions: Sequence[str]) -> None:
        """Nobody needs to be asked."""

    def answers(self, campaign: Campaign, number: int, questions: Sequence[str]) -> Answers:
        """Return the labels."""
        return Answers({name: campaign.truth[name] for name in questions}, questions)

    def where(self, campaign: Campaign, number: int) -> str:
        """Nobody needs to put anything anywhere."""
        return ""
