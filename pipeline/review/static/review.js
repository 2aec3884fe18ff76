// One item at a time: state is a correction, every change asks the server for a new preview.

const $ = (id) => document.getElementById(id);
const PAGE = 60;
const LIKELY = 6;
const SECOND = 1000;
// Seconds of a shot that are played.
const LONGEST = 10;
// Seconds by which times may be rounded.
const INSTANT = 1e-3;
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
let isLoaded = false;
let past = [];
let future = [];
let showsBefore = false;
let beforeUrl = "";
let afterUrl = "";
let asked = 0;
let place = null;
let picking = false;
let earlier = 0;
let version = "";
let page = 1;
let pages = 1;
let shot = 0;
let shots = [];
// The shots of which there are buttons.
let strip = null;
// Where in the film, and how long one of its frames is shown, in seconds.
let time = 0;
let frame = 0;

function blank() {
  return { hints: [], references: [], saturation: null, treat_as: null, tone: null, accepted: false };
}

async function call(path, options = {}) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  let body = { error: `The server answered ${response.status}.`, advice: "" };
  try { body = await response.json(); } catch { /* not one of ours */ }
  throw new Error([body.error, body.advice].filter(Boolean).join(" "));
}

const named = (path) => `${path}?name=${encodeURIComponent(items[current].name)}`;
const isFilm = () => current >= 0 && items[current].kind === "film";
// Where in the item: a page of a photograph, a moment of a film.
const placed = (path) => `${named(path)}&page=${page}${isFilm() && shots.length ? `&time=${time}` : ""}`;
const sending = (method, body) => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function tell(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

async function guarded(work) {
  try { tell(""); await work(); } catch (error) { tell(error.message); }
}

async function working(work) {
  $("working").hidden = false;
  try { return await work(); } finally { $("working").hidden = true; }
}

function buttonOf(...content) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...content);
  return button;
}

function lineOf(...content) {
  const line = document.createElement("li");
  line.append(...content);
  return line;
}

function thumbnail(url) {
  const small = document.createElement("img");
  small.loading = "lazy";
  small.alt = "";
  small.src = url;
  return small;
}

let loading = null;

// One request at a time: scrolling, the button and the keyboard may all ask for more.
function loadItems() {
  loading ??= loadPage().finally(() => { loading = null; });
  return loading;
}

async function loadPage() {
  const from = items.length;
  const found = await (await call(`/api/items?offset=${from}&limit=${PAGE}`)).json();
  total = found.total;
  items.push(...found.items);
  $("list").append(...found.items.map((_, number) => listed(from + number)));
  drawProgress();
}

function listed(number) {
  const item = items[number];
  const button = buttonOf();
  if (item.pictures) {
    const small = thumbnail(`/api/thumbnail?name=${encodeURIComponent(item.name)}`);
    small.addEventListener("error", () => small.remove());
    button.append(small);
  }
  const words = document.createElement("span");
  words.textContent = item.title;
  const state = document.createElement("small");
  words.append(state);
  button.append(words);
  button.addEventListener("click", () => guarded(() => open(number)));
  const line = lineOf(button);
  tellState(line, item);
  return line;
}

function tellState(line, item) {
  const words = [item.accepted && "✓ accepted", item.corrected && "corrected", item.kind === "film" && "film", item.attention];
  line.querySelector("small").textContent = words.filter(Boolean).join(", ");
}

function drawProgress() {
  const done = items.filter((item) => item.accepted).length;
  const kind = items.every((item) => item.kind === "photo") ? "photograph" : "item";
  $("progress").textContent = `${total.toLocaleString("en")} ${kind}${total === 1 ? "" : "s"}, ${done} accepted`;
  $("more").hidden = items.length >= total;
}

function drawCurrent(before) {
  const lines = $("list").children;
  lines[before]?.firstChild.removeAttribute("aria-current");
  lines[current]?.firstChild.setAttribute("aria-current", "true");
  lines[current]?.scrollIntoView({ block: "nearest" });
}

async function open(number) {
  if (number < 0 || number >= total) return;
  if (isChanged() && !confirm("Leave without saving your changes?")) return;
  while (number >= items.length) await loadItems();
  const before = current;
  current = number;
  page = pages = 1;
  shot = 0; shots = [];
  drawCurrent(before);
  $("name").textContent = items[number].title;
  $("attention").textContent = items[number].attention;
  $("attention").hidden = !items[number].attention;
  correction = blank();
  saved = JSON.stringify(correction);
  isLoaded = false;
  // What was asked for the one before is no longer wanted.
  asked += 1;
  drawSearch(null);
  past = []; future = [];
  setPicture("before", "");
  setPicture("after", "");
  draw();
  const found = await working(async () => (await call(named("/api/item"))).json());
  if (current !== number) return;
  take(found);
  if (found.kind === "film") ({ shots, frame } = found);
  turnTo(0);
  if (shots.length && !found.known) lookForShots(number);
  await show();
}

// Until the shots of a film are found, equal parts of it are in their place.
async function lookForShots(number) {
  const { name } = items[number];
  for (;;) {
    const body = await call(`/api/shots?name=${encodeURIComponent(name)}`).then((response) => response.json(), () => ({}));
    if (current !== number || !body.shots) return;
    const { search } = body;
    drawSearch(search);
    if (!search) {
      ({ shots } = body);
      reach(shotAt(time));
      drawShots();
      drawTime();
    }
    if (!search || search.is_over) return;
    await new Promise((wake) => { setTimeout(wake, SECOND / 2); });
  }
}

function drawSearch(search) {
  const share = search?.total ? ` (${Math.round((100 * search.done) / search.total)} %)` : "";
  $("search").hidden = !search;
  if (search) $("search").textContent = search.is_over ? `The shots were not found; these are equal parts. ${search.error}` : `Looking for the shots${share}. Until then, equal parts of the film are shown.`;
}

function take(found) {
  isLoaded = true;
  correction = { ...blank(), ...found.correction };
  saved = JSON.stringify(correction);
  ({ earlier, version } = found);
  draw();
}

// The label of a shot is a time cut to tenths: the middle of the tenth lies in the shot.
const secondsOf = (label) => label.split(":").reduce((sum, part) => 60 * sum + Number(part), 0) + 0.05;

// A shot is shown at the time of its small picture at first; the slider goes over all of it, in the middle of frames.
function turnTo(number) {
  shot = number;
  if (shots.length) {
    time = secondsOf(shots[shot].label);
    reach(shot);
    time = Number($("time").value);
  }
  drawShots();
  drawTime();
}

// Has the slider reach over a shot, at the moment that is shown.
function reach(number) {
  const { start, end } = shots[number];
  const slider = $("time");
  shot = number;
  slider.step = frame;
  slider.min = start + frame / 2;
  slider.max = Math.max(start + frame / 2, end);
  slider.value = time;
  slider.disabled = end - start < 2 * frame;
}

function goTo(seconds) {
  turnTo(shotAt(seconds));
  $("time").value = seconds;
  time = seconds;
  drawTime();
  return guarded(show);
}

function drawTime() {
  const text = clockOf(time);
  $("clock").textContent = text;
  $("time").setAttribute("aria-valuetext", `${text}, shot ${shot + 1} of ${shots.length}`);
  drawHints();
}

function clockOf(seconds) {
  const minutes = Math.floor(seconds / 60);
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
}

// Work that is asked for faster than it is done: one at a time, and at the end the last.
function latest(work) {
  let isBusy = false;
  let isWanted = false;
  return async () => {
    isWanted = true;
    if (isBusy) return;
    isBusy = true;
    try {
      while (isWanted) { isWanted = false; await guarded(work); }
    } finally { isBusy = false; }
  };
}

async function show() {
  await preview();
  const turn = asked;
  const blob = await (await call(placed("/api/before"))).blob();
  if (turn !== asked) return;
  setPicture("before", URL.createObjectURL(blob));
  draw();
}

function drawShots() {
  $("shots").hidden = $("single").hidden = $("moment").hidden = !shots.length;
  if (strip !== shots) {
    strip = shots;
    // With the time in the address, or the browser would show the pictures of the equal parts again.
    $("shots").replaceChildren(...shots.map(({ label }, number) => {
      const button = buttonOf(thumbnail(`${named("/api/thumbnail")}&number=${number}&at=${label}`), label);
      button.addEventListener("click", () => guarded(async () => { turnTo(number); await show(); }));
      return lineOf(button);
    }));
  }
  [...$("shots").children].forEach(({ firstChild }, number) => firstChild.setAttribute("aria-pressed", String(number === shot)));
}

const isChanged = () => current >= 0 && JSON.stringify(correction) !== saved;

function setPicture(which, url) {
  const old = which === "before" ? beforeUrl : afterUrl;
  if (old) URL.revokeObjectURL(old);
  if (which === "before") beforeUrl = url; else afterUrl = url;
}

async function preview(wanted = correction) {
  const turn = ++asked;
  $("working").hidden = false;
  try {
    const response = await call(placed("/api/view"), sending("POST", wanted));
    const blob = await response.blob();
    if (turn !== asked) return;
    pages = Number(response.headers.get("Autochrome-Pages") ?? 1);
    const isKept = response.headers.get("Autochrome-Kept") === "1";
    if (isKept && here().length) tell("It was detected as coloured or toned and keeps its own colour. Choose “Detected as: black and white” to use the colours you set.");
    setPicture("after", URL.createObjectURL(blob));
    draw();
  } finally {
    if (turn === asked) $("working").hidden = true;
  }
}

// Nothing is changed before it is known what there is to change.
function change(next) {
  if (!isLoaded) return;
  past.push(correction);
  future = [];
  correction = next;
  draw();
  return guarded(() => preview());
}

function step(from, to) {
  if (!from.length) return;
  to.push(correction);
  correction = from.pop();
  draw();
  guarded(() => preview());
}

// When nothing is left to undo of what was done here, what was saved last can be taken back.
function undo() {
  if (past.length) step(past, future);
  else if (earlier && !isChanged()) $("taking").showModal();
}

async function takeBack() {
  const number = current;
  const found = await (await call(`${named("/api/undo")}&version=${version}`, { method: "POST" })).json();
  if (current !== number) return;
  const withdrawn = correction;
  past = [];
  take(found);
  future = [withdrawn];
  draw();
  tellCorrected(number, correction);
  tell("The last save was taken back. Redo brings it back, to be saved again.");
  await preview();
}

function draw() {
  const url = showsBefore && beforeUrl ? beforeUrl : afterUrl;
  const picture = $("picture");
  if (url) { if (picture.src !== url) picture.src = url; } else picture.removeAttribute("src");
  picture.alt = current < 0 ? "" : `${items[current].title}, ${showsBefore ? "before" : "coloured"}`;
  const saturation = correction.saturation ?? 1;
  $("saturation").value = saturation;
  $("amount").textContent = `${Math.round(saturation * 100)} %`;
  $("treatAs").value = correction.treat_as ?? "";
  $("tone").value = correction.tone ?? "";
  $("pages").hidden = pages < 2;
  $("page").textContent = `Page ${page} of ${pages}`;
  $("pageBack").disabled = page <= 1;
  $("pageOn").disabled = page >= pages;
  $("compare").setAttribute("aria-pressed", String(showsBefore));
  $("accept").setAttribute("aria-pressed", String(correction.accepted));
  const takesBack = !past.length && earlier > 0 && !isChanged();
  $("undo").disabled = !past.length && !takesBack;
  $("undo").textContent = takesBack ? "Take back the last save" : "Undo";
  $("redo").disabled = !future.length;
  $("save").disabled = !isChanged();
  $("previous").disabled = current <= 0;
  $("next").disabled = current >= total - 1;
  drawHints();
}

function drawHints() {
  const picture = $("picture").getBoundingClientRect();
  const stage = $("stage").getBoundingClientRect();
  $("marks").replaceChildren(...here().map(([hint, number]) => {
    const mark = document.createElement("div");
    mark.className = "mark";
    mark.textContent = number + 1;
    mark.style.left = `${picture.left - stage.left + hint.x * picture.width}px`;
    mark.style.top = `${picture.top - stage.top + hint.y * picture.height}px`;
    mark.style.background = shown(hint.color);
    return mark;
  }));
  $("stated").replaceChildren(...correction.hints.map((hint, number) => {
    const outside = isOutside(hint) ? `at pixel ${hint.x}, ${hint.y}` : "";
    const where = outside || (hint.time !== null ? `at ${clockOf(hint.time)}` : pages > 1 ? `page ${hint.page}` : "");
    const words = document.createElement("span");
    words.className = "words";
    words.textContent = `${label(hint.color)} ${where}`;
    const other = isFilm() && hint.time !== null && !isShown(hint.time) ? [shower(hint, number)] : [];
    return lineOf(`${number + 1}`, sample(hint.color), words, ...other, remover("colour", "hints", number));
  }));
  $("references").replaceChildren(...correction.references.map((_, number) =>
    lineOf(`Reference ${number + 1}`, remover("reference", "references", number))));
}

// What takes number `number` out of a list of the correction: `hints` or `references`.
function remover(what, list, number) {
  const button = buttonOf("Remove");
  button.setAttribute("aria-label", `Remove ${what} ${number + 1}`);
  button.addEventListener("click", () => change({ ...correction, [list]: correction[list].filter((_, n) => n !== number) }));
  return button;
}

// What goes to the frame of a hint that is not shown.
function shower(hint, number) {
  const button = buttonOf("Show");
  button.setAttribute("aria-label", `Show the frame of colour ${number + 1}`);
  button.addEventListener("click", () => goTo(hint.time));
  return button;
}

// Moments of a frame reach from its start to its end; `time` is its middle.
function isShown(moment) {
  const since = moment - (time - frame / 2);
  return since > -INSTANT && since < frame - INSTANT;
}

// The server tells places as shares, but of pixels that the picture does not have, or while it is not there.
const isOutside = (hint) => hint.unit === "px";

// Hints of what is shown, with their numbers among all.
function here() {
  const all = correction.hints.map((hint, number) => [hint, number]).filter(([hint]) => !isOutside(hint));
  if (!isFilm()) return all.filter(([hint]) => hint.page === page);
  return all.filter(([hint]) => hint.time !== null && isShown(hint.time));
}

const shotAt = (moment) => Math.max(0, shots.findLastIndex(({ start }) => start <= moment));

async function addReference(file) {
  if (!file) return;
  const response = await working(() => call(named("/api/reference"), { method: "PUT", body: file }));
  const { name } = await response.json();
  if (!correction.references.includes(name)) change({ ...correction, references: [...correction.references, name] });
}

function turnPage(to) {
  if (to < 1 || to > pages) return;
  page = to;
  guarded(show);
}

const shown = (color) => (color === "neutral" ? "#808080" : color);
const label = (color) => PALETTE.find(([, value]) => value === color)?.[0] ?? `${words(color)} ${color}`;

const HUES = [[15, "red"], [40, "orange"], [65, "yellow"], [80, "yellow green"], [150, "green"], [190, "blue green"], [255, "blue"], [290, "violet"], [335, "pink"], [360, "red"]];

// A colour in words: how light, how strong, which hue.
function words(color) {
  if (color === "neutral") return "neutral";
  const [red, green, blue] = [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16));
  const most = Math.max(red, green, blue);
  const range = most - Math.min(red, green, blue);
  const light = 0.3 * red + 0.6 * green + 0.1 * blue;
  const tone = light < 70 ? "dark " : light > 190 ? "light " : "";
  if (range < 14) return `${tone}grey`;
  const sixth = most === red ? (green - blue) / range : most === green ? 2 + (blue - red) / range : 4 + (red - green) / range;
  const hue = (sixth * 60 + 360) % 360;
  const isBrown = hue >= 10 && hue < 45 && light < 150;
  const name = isBrown ? "brown" : HUES.find(([end]) => hue <= end)[1];
  return `${tone}${range < 50 ? "greyish " : range > 150 ? "strong " : ""}${name}`;
}

function sample(color) {
  const box = document.createElement("span");
  box.className = "sample";
  box.style.background = shown(color);
  return box;
}

function placeOf(event, picture = $("picture")) {
  const box = picture.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width;
  const y = (event.clientY - box.top) / box.height;
  return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null;
}

function colorAt({ x, y }, picture = $("picture")) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const data = context.getImageData(Math.min(Math.floor(x * canvas.width), canvas.width - 1), Math.min(Math.floor(y * canvas.height), canvas.height - 1), 1, 1).data;
  return `#${[...data.slice(0, 3)].map((value) => value.toString(16).padStart(2, "0")).join("")}`.toUpperCase();
}

function swatch(name, color) {
  const button = buttonOf(sample(color), name);
  button.dataset.color = color;
  button.addEventListener("click", () => state(color));
  return button;
}

// The pictures that lend their colours: a click takes one from them.
function offerReferences() {
  $("borrow").hidden = !correction.references.length;
  $("borrow").replaceChildren(...correction.references.map((name, number) => {
    const picture = document.createElement("img");
    picture.alt = `Reference ${number + 1}`;
    picture.title = "Click on the colour that you want";
    picture.src = `${named("/api/reference")}&reference=${encodeURIComponent(name)}`;
    picture.addEventListener("click", (event) => { const at = placeOf(event, picture); if (at) state(colorAt(at, picture)); });
    return picture;
  }));
}

function waiting() {
  const button = buttonOf(sample("transparent"), "…");
  button.disabled = true;
  return button;
}

async function offerLikely({ x, y }) {
  const colors = await (await call(`${placed("/api/likely")}&x=${x}&y=${y}`)).json();
  if (place?.x !== x || place?.y !== y) return;
  // In the places kept for them: what is below must not move under a finger.
  [...$("likely").children].forEach((kept, number) => {
    if (colors[number]) kept.replaceWith(swatch(`likely ${number + 1}: ${words(colors[number])}`, colors[number]));
    else kept.style.visibility = "hidden";
  });
}

function state(color) {
  $("chooser").close();
  if (!place) return;
  const hint = { x: place.x, y: place.y, color, reach: 0.01, time: isFilm() && shots.length ? time : null, page };
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
  offerReferences();
  $("likely").replaceChildren(...Array.from({ length: LIKELY }, waiting));
  guarded(() => offerLikely(found));
  $("own").value = colorAt(found).toLowerCase();
  $("chooser").showModal();
});

$("palette").replaceChildren(...PALETTE.map(([name, color]) => swatch(name, color)));
$("useOwn").addEventListener("click", () => state($("own").value.toUpperCase()));
$("pick").addEventListener("click", () => {
  picking = true;
  $("chooser").close();
  tell("Click on the place whose colour you want to use.");
});
$("saturation").addEventListener("change", (event) => change({ ...correction, saturation: Number(event.target.value) }));
const dragged = latest(() => preview({ ...correction, saturation: Number($("saturation").value) }));
$("saturation").addEventListener("input", (event) => {
  $("amount").textContent = `${Math.round(event.target.value * 100)} %`;
  if (isLoaded) dragged();
});
const moved = latest(show);
$("time").addEventListener("input", (event) => { time = Number(event.target.value); drawTime(); moved(); });
$("play").addEventListener("click", () => guarded(play));
$("stopPlaying").addEventListener("click", () => guarded(() => call(`/api/playing?number=${clip()}`, { method: "DELETE" })));
$("player").addEventListener("close", () => { $("clip").removeAttribute("src"); $("clip").load(); });
$("taking").addEventListener("close", () => { if ($("taking").returnValue === "yes") guarded(takeBack); $("taking").returnValue = ""; });
$("treatAs").addEventListener("change", (event) => change({ ...correction, treat_as: event.target.value || null }));
$("tone").addEventListener("change", (event) => change({ ...correction, tone: event.target.value || null }));
$("reference").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", (event) => { guarded(() => addReference(event.target.files[0])); });
$("pageBack").addEventListener("click", () => turnPage(page - 1));
$("pageOn").addEventListener("click", () => turnPage(page + 1));
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("stage").addEventListener(kind, (event) => {
    event.preventDefault();
    $("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop") guarded(() => addReference(event.dataTransfer.files[0]));
  });
}
$("undo").addEventListener("click", undo);
$("redo").addEventListener("click", () => step(future, past));
$("compare").addEventListener("click", () => { showsBefore = !showsBefore; draw(); });
$("previous").addEventListener("click", () => guarded(() => open(current - 1)));
$("next").addEventListener("click", () => guarded(() => open(current + 1)));
$("more").addEventListener("click", () => guarded(loadItems));
new IntersectionObserver(([seen]) => { if (seen.isIntersecting && items.length < total) guarded(loadItems); }).observe($("more"));
$("accept").addEventListener("click", () => { change({ ...correction, accepted: !correction.accepted }); guarded(save); });
$("save").addEventListener("click", () => guarded(save));
$("render").addEventListener("click", () => guarded(async () => {
  await save();
  const response = await working(() => call(named("/api/render"), { method: "POST" }));
  if (response.status === 202) { await follow("rendering"); return; }
  const { output } = await response.json();
  tell(`Coloured: ${output}`);
}));
$("stop").addEventListener("click", () => guarded(() => call("/api/rendering", { method: "DELETE" })));

// How far something is that takes its time is told below the picture, whatever is looked at meanwhile.
const following = new Set();
const WORK = {
  rendering: {
    begun: (title) => `Colouring ${title}`,
    done: (output) => `Coloured: ${output}`,
    stopped: (title) => `${title}: stopped. It resumes when you colour it again.`,
  },
  playing: { begun: (title) => `Colouring a shot of ${title}`, done: () => "The shot is ready.", stopped: () => "Stopped." },
};

// The shot that was asked for last in this tab, also before it was loaded anew.
const clip = () => sessionStorage.getItem("clip");

// Return how the work ended, null if there is none.
async function follow(which, query = "") {
  if (following.has(which)) return null;
  following.add(which);
  try {
    for (;;) {
      const state = await (await call(`/api/${which}${query}`)).json();
      if (!state) return null;
      drawWork(which, state);
      if (state.is_over) return state;
      await new Promise((wake) => { setTimeout(wake, SECOND / 4); });
    }
  } finally { following.delete(which); }
}

function drawWork(which, { title, done, total, is_over, output, error, advice }) {
  const texts = WORK[which];
  const of = total === null ? "" : ` of ${total.toLocaleString("en")}`;
  const end = error ? [error, advice].filter(Boolean).join(" ") : output ? texts.done(output) : texts.stopped(title);
  const line = $(which);
  line.hidden = false;
  line.querySelector("span").textContent = is_over ? end : `${texts.begun(title)}: ${done.toLocaleString("en")}${of} frames. You can continue working.`;
  const bar = line.querySelector("progress");
  bar.hidden = line.querySelector("button").hidden = is_over;
  if (total) bar.value = done / total; else bar.removeAttribute("value");
}

// Where to begin so that `seconds` of the shot hold the moment that is shown and, if they can, the hint nearest to it.
function beginning({ start, end }, seconds) {
  const moments = correction.hints.map((hint) => hint.time).filter((moment) => moment !== null && shotAt(moment) === shot);
  const near = moments.sort((one, other) => Math.abs(one - time) - Math.abs(other - time))[0] ?? time;
  const other = Math.abs(near - time) < seconds - frame ? near : time;
  return Math.max(start, Math.min((time + other - seconds) / 2, end - seconds));
}

// The shot, or ten seconds of a long one, as it will be in the film with what is stated now.
async function play() {
  if (!isLoaded || !shots.length || following.has("playing")) return;
  const { start, end } = shots[shot];
  const seconds = Math.min(Math.max(end - start, frame), LONGEST);
  const from = beginning(shots[shot], seconds);
  const number = current;
  const title = items[number].title;
  const bySimilarity = correction.hints.some((hint) => isOut(hint, from, seconds)) ? ", with colours stated at other moments by similarity alone" : "";
  const asking = await call(`${named("/api/clip")}&start=${from}&seconds=${seconds}`, sending("POST", correction));
  sessionStorage.setItem("clip", (await asking.json()).number);
  $("play").disabled = true;
  try {
    const state = await follow("playing", `?number=${clip()}`);
    if (!state?.output || current !== number) return;
    $("playing").hidden = true;
    $("played").textContent = `${title}, ${clockOf(from)} to ${clockOf(from + seconds)}, as it will be in the film${bySimilarity}`;
    $("clip").src = `/api/clip?number=${clip()}`;
    $("player").showModal();
    await $("clip").play().catch(() => { /* it is played by its own controls */ });
  } finally { $("play").disabled = false; }
}

// In the film, a hint of the same shot is also carried along the motion.
const isOut = ({ time: moment }, from, seconds) =>
  moment !== null && shotAt(moment) === shot && (moment < from || moment >= from + seconds);

async function save() {
  if (!isChanged()) return;
  const number = current;
  const sent = correction;
  const found = await (await call(`${named("/api/correction")}&version=${version}`, sending("PUT", sent))).json();
  if (current === number) {
    saved = JSON.stringify(sent);
    ({ earlier, version } = found);
  }
  tellCorrected(number, sent);
  draw();
}

function tellCorrected(number, { accepted, ...shaping }) {
  const { accepted: _, ...nothing } = blank();
  Object.assign(items[number], { accepted, corrected: JSON.stringify(shaping) !== JSON.stringify(nothing) });
  tellState($("list").children[number], items[number]);
  drawProgress();
}

// Whether a control takes the key for itself: of a slider, those that move it.
const MOVING = /^(Arrow.*|Home|End|Page.*)$/;
const keepsKey = ({ target, key }) => target.matches("input[type=range]") ? MOVING.test(key) : target.matches("input, select");

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || keepsKey(event)) return;
  const control = event.ctrlKey || event.metaKey;
  const actions = control
    ? { z: undo, y: () => step(future, past), s: () => guarded(save) }
    : { ArrowLeft: () => guarded(() => open(current - 1)), ArrowRight: () => guarded(() => open(current + 1)), b: () => $("compare").click(), a: () => $("accept").click(), p: () => guarded(play), s: () => guarded(save) };
  const action = actions[event.key];
  if (action) { event.preventDefault(); action(); }
});
window.addEventListener("resize", drawHints);
$("picture").addEventListener("load", drawHints);
window.addEventListener("beforeunload", (event) => { if (isChanged()) event.preventDefault(); });

function unfold(isOpen) {
  $("further").hidden = !isOpen;
  $("toggle").setAttribute("aria-expanded", String(isOpen));
  $("toggle").textContent = isOpen ? "Less" : "More";
}

$("toggle").addEventListener("click", () => unfold($("further").hidden));
unfold(matchMedia("(min-width: 46rem)").matches);

guarded(async () => {
  await loadItems();
  guarded(() => follow("rendering"));
  // A shot that was asked for before the page was loaded anew can be stopped; nobody waits to see it.
  if (clip()) follow("playing", `?number=${clip()}`).then(({ output }) => { if (output) $("playing").hidden = true; }, () => { /* no longer kept */ });
  if (total) await open(0); else tell("There is nothing to review.");
});
