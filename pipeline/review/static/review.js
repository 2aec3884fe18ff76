// One photograph at a time: state is a correction, every change asks the server for a new preview.

const $ = (id) => document.getElementById(id);
const PAGE = 60;
// Names stand beside every sample, so that no choice depends on telling colours apart.
const PALETTE = [
  ["neutral", "neutral"], ["pale skin", "#E0B49A"], ["tanned skin", "#B97F5E"], ["dark skin", "#6F4A37"],
  ["fair hair", "#C4A26B"], ["brown hair", "#5E4530"], ["sky blue", "#86AFDD"], ["deep blue", "#2F4C9B"],
  ["navy", "#26304F"], ["teal", "#2F7C80"], ["grass", "#6F8F45"], ["leaf green", "#44682F"],
  ["olive", "#75703B"], ["sand", "#C9B287"], ["wood", "#8E6440"], ["brick", "#A2573F"],
  ["red", "#B3272D"], ["wine", "#6D2335"], ["rose", "#CF8A94"], ["orange", "#D07A2D"],
  ["yellow", "#D6B93F"], ["cream", "#E6D9B8"], ["lilac", "#9A83B8"], ["violet", "#5F3F86"],
];

let total = 0;
let items = [];
let current = -1;
let correction = blank();
let saved = "";
let past = [];
let future = [];
let showsBefore = false;
let beforeUrl = "";
let afterUrl = "";
let asked = 0;
let place = null;
let picking = false;

function blank() {
  return { hints: [], saturation: null, treat_as: null, tone: null, accepted: false };
}

async function call(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let told = { error: `The server answered ${answer.status}.`, advice: "" };
  try { told = await answer.json(); } catch { /* not one of ours */ }
  throw new Error([told.error, told.advice].filter(Boolean).join(" "));
}

const named = (path) => `${path}?name=${encodeURIComponent(items[current].name)}`;
const sending = (method, body) => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function tell(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

async function guarded(work) {
  try { tell(""); await work(); } catch (error) { tell(error.message); }
}

async function loadItems() {
  const found = await (await call(`/api/items?offset=${items.length}&limit=${PAGE}`)).json();
  total = found.total;
  items.push(...found.items);
  drawList();
}

function drawList() {
  $("list").replaceChildren(...items.map((item, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = item.name;
    button.setAttribute("aria-current", String(number === current));
    const state = document.createElement("small");
    state.textContent = [item.accepted && "✓ accepted", item.corrected && "corrected", item.attention].filter(Boolean).join(", ");
    button.append(state);
    button.addEventListener("click", () => guarded(() => open(number)));
    const line = document.createElement("li");
    line.append(button);
    return line;
  }));
  const done = items.filter((item) => item.accepted).length;
  $("progress").textContent = `${total} ${total === 1 ? "photograph" : "photographs"}, ${done} accepted`;
  $("more").hidden = items.length >= total;
  $("list").querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
}

async function open(number) {
  if (number < 0 || number >= total) return;
  if (isChanged() && !confirm("Leave this photograph without saving what you changed?")) return;
  while (number >= items.length) await loadItems();
  current = number;
  drawList();
  $("name").textContent = items[number].name;
  $("attention").textContent = items[number].attention;
  $("attention").hidden = !items[number].attention;
  correction = blank();
  saved = JSON.stringify(correction);
  past = []; future = [];
  setPicture("before", "");
  setPicture("after", "");
  draw();
  const found = await (await call(named("/api/item"))).json();
  correction = { ...blank(), ...found.correction };
  saved = JSON.stringify(correction);
  draw();
  await preview();
  setPicture("before", URL.createObjectURL(await (await call(named("/api/before"))).blob()));
  draw();
}

const isChanged = () => current >= 0 && JSON.stringify(correction) !== saved;

function setPicture(which, url) {
  const old = which === "before" ? beforeUrl : afterUrl;
  if (old) URL.revokeObjectURL(old);
  if (which === "before") beforeUrl = url; else afterUrl = url;
}

async function preview() {
  const turn = ++asked;
  $("working").hidden = false;
  try {
    const blob = await (await call(named("/api/view"), sending("POST", correction))).blob();
    if (turn !== asked) return;
    setPicture("after", URL.createObjectURL(blob));
    draw();
  } finally {
    if (turn === asked) $("working").hidden = true;
  }
}

function change(next) {
  past.push(correction);
  future = [];
  correction = next;
  draw();
  return guarded(preview);
}

function step(from, to) {
  if (!from.length) return;
  to.push(correction);
  correction = from.pop();
  draw();
  guarded(preview);
}

function draw() {
  const url = showsBefore && beforeUrl ? beforeUrl : afterUrl;
  const picture = $("picture");
  if (url) { if (picture.src !== url) picture.src = url; } else picture.removeAttribute("src");
  picture.alt = current < 0 ? "" : `${items[current].name}, ${showsBefore ? "without colour" : "coloured"}`;
  const saturation = correction.saturation ?? 1;
  $("saturation").value = saturation;
  $("amount").textContent = `${Math.round(saturation * 100)} %`;
  $("compare").setAttribute("aria-pressed", String(showsBefore));
  $("accept").setAttribute("aria-pressed", String(correction.accepted));
  $("undo").disabled = !past.length;
  $("redo").disabled = !future.length;
  $("save").disabled = !isChanged();
  $("previous").disabled = current <= 0;
  $("next").disabled = current >= total - 1;
  drawHints();
}

function drawHints() {
  const picture = $("picture").getBoundingClientRect();
  const stage = $("stage").getBoundingClientRect();
  $("marks").replaceChildren(...correction.hints.map((hint, number) => {
    const mark = document.createElement("div");
    mark.className = "mark";
    mark.textContent = number + 1;
    mark.style.left = `${picture.left - stage.left + hint.x * picture.width}px`;
    mark.style.top = `${picture.top - stage.top + hint.y * picture.height}px`;
    mark.style.background = shown(hint.color);
    return mark;
  }));
  $("stated").replaceChildren(...correction.hints.map((hint, number) => {
    const line = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove colour ${number + 1}`);
    remove.addEventListener("click", () => change({ ...correction, hints: correction.hints.filter((_, n) => n !== number) }));
    line.append(`${number + 1}`, sample(hint.color), label(hint.color), remove);
    return line;
  }));
}

const shown = (color) => (color === "neutral" ? "#808080" : color);
const label = (color) => PALETTE.find(([, value]) => value === color)?.[0] ?? color;

function sample(color) {
  const box = document.createElement("span");
  box.className = "sample";
  box.style.background = shown(color);
  return box;
}

function placeOf(event) {
  const box = $("picture").getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width;
  const y = (event.clientY - box.top) / box.height;
  return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null;
}

function colorAt({ x, y }) {
  const picture = $("picture");
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const data = context.getImageData(Math.min(Math.floor(x * canvas.width), canvas.width - 1), Math.min(Math.floor(y * canvas.height), canvas.height - 1), 1, 1).data;
  return `#${[...data.slice(0, 3)].map((value) => value.toString(16).padStart(2, "0")).join("")}`.toUpperCase();
}

function swatch(name, color) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.color = color;
  button.append(sample(color), name);
  button.addEventListener("click", () => state(color));
  return button;
}

async function offerLikely({ x, y }) {
  const colors = await (await call(`${named("/api/likely")}&x=${x}&y=${y}`)).json();
  if (place?.x === x && place?.y === y) $("likely").replaceChildren(...colors.map((color, number) => swatch(`likely ${number + 1}`, color)));
}

function state(color) {
  $("chooser").close();
  if (!place) return;
  const hint = { x: place.x, y: place.y, color, reach: 0.01, time: null, page: 1 };
  place = null;
  change({ ...correction, hints: [...correction.hints, hint] });
}

$("stage").addEventListener("click", (event) => {
  const found = placeOf(event);
  if (!found || !afterUrl) return;
  if (picking) {
    picking = false;
    tell("");
    state(colorAt(found));
    return;
  }
  place = found;
  $("likely").replaceChildren();
  guarded(() => offerLikely(found));
  $("own").value = colorAt(found).toLowerCase();
  $("chooser").showModal();
});

$("palette").replaceChildren(...PALETTE.map(([name, color]) => swatch(name, color)));
$("useOwn").addEventListener("click", () => state($("own").value.toUpperCase()));
$("pick").addEventListener("click", () => {
  picking = true;
  $("chooser").close();
  tell("Click on the place whose colour you want.");
});
$("saturation").addEventListener("change", (event) => change({ ...correction, saturation: Number(event.target.value) }));
$("saturation").addEventListener("input", (event) => { $("amount").textContent = `${Math.round(event.target.value * 100)} %`; });
$("undo").addEventListener("click", () => step(past, future));
$("redo").addEventListener("click", () => step(future, past));
$("compare").addEventListener("click", () => { showsBefore = !showsBefore; draw(); });
$("previous").addEventListener("click", () => guarded(() => open(current - 1)));
$("next").addEventListener("click", () => guarded(() => open(current + 1)));
$("more").addEventListener("click", () => guarded(loadItems));
$("accept").addEventListener("click", () => { change({ ...correction, accepted: !correction.accepted }); guarded(save); });
$("save").addEventListener("click", () => guarded(save));
$("render").addEventListener("click", () => guarded(async () => {
  await save();
  $("working").hidden = false;
  try {
    const { output } = await (await call(named("/api/render"), { method: "POST" })).json();
    tell(`Coloured: ${output}`);
  } finally { $("working").hidden = true; }
}));

async function save() {
  if (!isChanged()) return;
  const kept = JSON.stringify(correction);
  await call(named("/api/correction"), sending("PUT", correction));
  saved = kept;
  const corrected = correction.hints.length > 0 || correction.saturation !== null || correction.treat_as !== null || correction.tone !== null;
  Object.assign(items[current], { accepted: correction.accepted, corrected });
  drawList();
  draw();
}

document.addEventListener("keydown", (event) => {
  if ($("chooser").open || event.target.matches("input")) return;
  const control = event.ctrlKey || event.metaKey;
  const actions = control
    ? { z: () => step(past, future), y: () => step(future, past), s: () => guarded(save) }
    : { ArrowLeft: () => guarded(() => open(current - 1)), ArrowRight: () => guarded(() => open(current + 1)), b: () => $("compare").click(), a: () => $("accept").click(), s: () => guarded(save) };
  const action = actions[event.key];
  if (action) { event.preventDefault(); action(); }
});
window.addEventListener("resize", drawHints);
$("picture").addEventListener("load", drawHints);
window.addEventListener("beforeunload", (event) => { if (isChanged()) event.preventDefault(); });

guarded(async () => {
  await loadItems();
  if (total) await open(0); else tell("There is nothing to review.");
});
