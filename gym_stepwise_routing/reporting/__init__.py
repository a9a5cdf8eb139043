"""Results as people read them: pages with tables, one format of intervals, one style of figures."""

from gym_stepwise_routing.reporting.formats import brief_text, interval_text, span_text
from gym_stepwise_routing.reporting.pages import Page, Table, write_page

__all__ = ["Page", "Table", "brief_text", "interval_text", "span_text", "write_page"]
