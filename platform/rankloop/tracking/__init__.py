"""The one place that knows MLflow: runs with their numbers and figures, to see side by side.

MLflow is a view of what the result folders hold. Only drivers write to it, everything can be
written twice without harm, and once it is open its failures cost no training.
"""

from rankloop.tracking.data_tags import data_tags
from rankloop.tracking.location import ui_command
from rankloop.tracking.opening import open_tracking
from rankloop.tracking.runs import Tracking

__all__ = ["Tracking", "data_tags", "open_tracking", "ui_command"]
