"""Results as people read them: rows with intervals, tables and the accuracy-cost picture."""

from gym_stepwise_routing.reporting.frontier_figure import Curve, Panel, draw_frontiers
from gym_stepwise_routing.reporting.result_rows import Row, row_of
from gym_stepwise_routing.reporting.text_table import as_json, markdown_table, rich_table, table_cells

__all__ = [
    "Curve",
    "Panel",
    "Row",
    "as_json",
    "draw_frontiers",
    "markdown_table",
    "rich_table",
    "row_of",
    "table_cells",
]
