// What an oracle could save with two models: the formulas of gym_stepwise_routing.evaluation.pool_value.
function poolValue({ small, large, both, smallCost, keep }) {
  const asked = Math.max(0, keep * large - small);
  const keptCost = smallCost + (1 - smallCost) * asked;
  const accuracy = small + large - both;
  return { accuracy, cost: smallCost + (1 - smallCost) * (large - both), wanted: keep * large, keptCost, saving: 1 - keptCost };
}
function poolFault({ small, large, both, smallCost, keep }) {
  for (const share of [small, large, both, keep])
    if (!(share >= 0 && share <= 1)) return "Shares lie between 0 and 100 %.";
  if (!(smallCost >= 0 && smallCost <= 1)) return "The smaller model costs at most what the larger one does, which costs more than 0.";
  const least = Math.max(0, small + large - 1), most = Math.min(small, large);
  if (both < least - 1e-9 || both > most + 1e-9)
    return `With these shares both are right on ${(100 * least).toFixed(0)} to ${(100 * most).toFixed(0)} %.`;
  return "";
}
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("pool");
  if (!form) return;
  const number = (name) => (form[name].value === "" ? NaN : Number(form[name].value));
  const show = () => {
    const asked = {
      small: number("small") / 100, large: number("large") / 100, both: number("both") / 100,
      smallCost: number("small_cost") / number("large_cost"), keep: number("keep") / 100,
    };
    const fault = poolFault(asked);
    if (fault) { form.told.textContent = fault; return; }
    const value = poolValue(asked), percent = (share) => `${(100 * share).toFixed(1)} %`;
    form.told.textContent =
      `An oracle saves ${percent(value.saving)} of the larger model's cost and is right on ${percent(value.wanted)}. ` +
      `Some model is right on ${percent(value.accuracy)}; reaching that costs ${percent(value.cost)}.`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
});
