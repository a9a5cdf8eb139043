// What one answer costs step by step: the rules of gym_stepwise_routing.costs.stepwise_bill.
function stepwiseBill({ input, cachedInput, output, block, smallest, prompt, shared, steps, stepTokens }) {
  const dollars = (kind, requests, tokens) => {
    let fresh = 0, served = 0, read = shared, context = prompt;
    for (let request = 0; request < requests; request++) {
      const found = context >= kind.smallest ? Math.floor(read / kind.block) * kind.block : 0;
      served += found;
      fresh += context - found;
      context += tokens;
      read = context;
    }
    return (fresh * input + served * cachedInput + requests * tokens * output) / 1e6;
  };
  const asked = { block, smallest };
  return {
    whole: dollars(asked, 1, steps * stepTokens),
    ideal: dollars({ block: 1, smallest: 0 }, steps, stepTokens),
    stepwise: dollars(asked, steps, stepTokens),
  };
}
function billFault(asked) {
  for (const name of ["input", "cachedInput", "output"])
    if (!(asked[name] >= 0)) return "Prices are numbers from 0 on.";
  for (const name of ["block", "prompt", "steps", "stepTokens"])
    if (!(Number.isInteger(asked[name]) && asked[name] >= 1)) return "Tokens, steps and blocks are whole numbers from 1 on.";
  if (!(Number.isInteger(asked.smallest) && asked.smallest >= 0)) return "The smallest prompt is a whole number from 0 on.";
  if (!(Number.isInteger(asked.shared) && asked.shared >= 0 && asked.shared <= asked.prompt))
    return "Prompts share a whole number of tokens, at most all of them.";
  return asked.steps > 1000 ? "An answer has at most 1000 steps." : "";
}
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("stepwise-bill");
  if (!form) return;
  const number = (name) => (form[name].value === "" ? NaN : Number(form[name].value));
  const show = () => {
    const asked = {
      input: number("input"), cachedInput: number("cached_input"), output: number("output"), block: number("block"),
      smallest: number("smallest"), prompt: number("prompt"), shared: number("shared"), steps: number("steps"),
      stepTokens: number("step_tokens"),
    };
    const fault = billFault(asked);
    if (fault) { form.told.textContent = fault; return; }
    const bill = stepwiseBill(asked), thousand = (dollars) => `$ ${(1000 * dollars).toFixed(2)}`;
    const times = (other) => (other > 0 ? (bill.stepwise / other).toFixed(2) : "1.00");
    form.told.textContent =
      `1,000 answers cost ${thousand(bill.stepwise)} step by step: ${times(bill.ideal)} times what an ideal cache would ` +
      `cost (${thousand(bill.ideal)}), and ${times(bill.whole)} times one request for all of it (${thousand(bill.whole)}).`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
});
