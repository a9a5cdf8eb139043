// What scrolls can be reached by the keyboard, and headings of the side bar have a level.
document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".highlight pre, .table-wrapper, div.math")) part.tabIndex = 0;
  for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.setAttribute("aria-level", "2");
});
