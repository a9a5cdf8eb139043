// What scrolls can be reached by the keyboard, and headings of the side bar have a level.
document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".highlight pre, .table-wrapper, div.math")) part.tabIndex = 0;
  for (const card of document.querySelectorAll(".sphx-glr-thumbcontainer")) {
    card.removeAttribute("tooltip"); // the first line of a tutorial, which is what it needs
    for (const link of card.querySelectorAll("a")) link.setAttribute("aria-label", link.textContent.trim()); // is hidden
  }
  for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.setAttribute("aria-level", "2");
});
