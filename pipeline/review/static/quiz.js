// Shows a pair, takes an answer, shows the next. The server alone knows which one is real.

const at = (id) => document.getElementById(id);
const sides = ["left", "right"];
let state = null;
let timer = 0;

async function ask(path, method = "GET") {
  const response = await fetch(path, { method });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function countShown() {
  const { round, fooled, low, high } = state;
  at("count").textContent = round === 0 ? "" :
    `Coloured taken for real: ${fooled} of ${round}, ${percent(fooled / round)} (95 %: ${percent(low)} to ${percent(high)}). ` +
    "50 % is what guessing gives.";
}

function loaded(side) {
  const image = at(side).querySelector("img");
  return new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("a picture cannot be shown"));
    image.src = `api/picture?round=${state.round}&side=${side}`;
  });
}

async function showRound() {
  countShown();
  clearTimeout(timer);
  if (state.round >= state.rounds) {
    at("pair").hidden = true;
    at("round").textContent = "That was the last pair. The command prints the count when you end it with Ctrl-C.";
    return;
  }
  at("round").textContent = `Pair ${state.round + 1} of ${state.rounds}: click the one, or press its arrow key`;
  // Nobody sees the pair before, or half of this one, under its number.
  at("pair").classList.add("over");
  await Promise.all(sides.map(loaded));
  at("pair").classList.remove("over");
  at("pair").hidden = false;
  for (const side of sides) at(side).disabled = false;
  if (state.seconds > 0) timer = setTimeout(() => at("pair").classList.add("over"), 1000 * state.seconds);
}

async function choose(side) {
  if (at("pair").hidden || at(side).disabled) return;
  for (const one of sides) at(one).disabled = true;
  await guarded(async () => {
    const pair = state.round + 1;
    state = await ask(`api/answer?round=${state.round}&side=${side}`, "POST");
    at("last").textContent = `Pair ${pair}: ${state.right ? "right, that one was real." : "fooled, that one was coloured."}`;
    await showRound();
  });
}

async function guarded(action) {
  try {
    at("problem").hidden = true;
    await action();
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
}

for (const side of sides) at(side).addEventListener("click", () => choose(side));
addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") choose("left");
  if (event.key === "ArrowRight") choose("right");
});
guarded(async () => {
  state = await ask("api/state");
  await showRound();
});
