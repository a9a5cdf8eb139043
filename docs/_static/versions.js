// A choice of versions, where the site has several: versions.json lies at its root. A copy on a disk has none.
document.addEventListener("DOMContentLoaded", async () => {
  const place = document.querySelector(".versions");
  if (!place || !location.protocol.startsWith("http")) return;
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const answer = await fetch(new URL("versions.json", root)).catch(() => null);
  if (!answer || !answer.ok) return;
  const versions = await answer.json();
  if (versions.length < 2) return;
  const choice = document.createElement("select");
  choice.setAttribute("aria-label", "Version of the documentation");
  for (const { name, path, here } of versions) {
    const option = new Option(name, new URL(path, root).href, here, here);
    choice.add(option);
  }
  choice.addEventListener("change", () => { location.href = choice.value; });
  place.replaceChildren(choice);
});
