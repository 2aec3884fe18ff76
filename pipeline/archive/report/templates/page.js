"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  byId("data").remove();
  const PAGE = 60;
  const VIEWS = ["100", "50", "0"];
  const STATES = { done: "Done", failed: "Failed", quarantined: "Quarantined", refused: "Refused", waiting: "Waiting", running: "Broken off", gone: "Without source" };
  const SIGNS = { doubt: "Doubt about the source", strong: "Strong colour", clipped: "Beyond the gamut", flicker: "Flicker", colourfulness: "Colourfulness" };
  const AS_SHARE = new Set(["doubt", "strong", "clipped"]);
  const LISTED_FAILURES = new Set(["failed", "quarantined", "refused"]);

  const items = data.rows.map((row) => {
    const item = Object.fromEntries(data.fields.map((name, place) => [name, row[place]]));
    item.kind = data.texts[item.kind];
    item.state = data.texts[item.state];
    item.pack = data.texts[item.pack];
    const slash = item.path.lastIndexOf("/");
    item.name = item.path.slice(slash + 1);
    item.folder = item.path.slice(0, Math.max(0, slash));
    return item;
  });
  data.rows = null;

  // Every text of the archive becomes text of the page and never markup: names of files are not to be trusted.
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "for" || name === "role") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function address(path) {
    try {
      return path.split("/").map(encodeURIComponent).join("/");
    } catch {
      return null; // a name that is no text has no address that could be made here
    }
  }
  const number = (value, digits = 0) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const share = (value) => `${number(value * 100, value < 0.1 ? 1 : 0)} %`;
  const resultOf = (item) => { const path = item.result === 1 ? address(item.path) : item.result || null; return path && data.root + path; };
  const sourceOf = (item) => { const path = address(item.path); return path && data.source + path; };

  // Pictures that are not inside this page are in packs beside it: style sheets, since a page from a disk may load those.
  const packs = new Map();
  function unpacked(pack) {
    if (!packs.has(pack)) {
      const sheet = make("link", { rel: "stylesheet" });
      packs.set(pack, new Promise((resolve) => { sheet.onload = sheet.onerror = resolve; }));
      sheet.href = data.root + address(pack);
      document.head.append(sheet);
    }
    return packs.get(pack);
  }
  function clearPacks() {
    packs.clear();
    document.querySelectorAll("link").forEach((sheet) => sheet.remove());
  }

  const JPEG = /^url\("?(data:image\/jpeg;base64,[A-Za-z0-9+\/=]+)"?\)$/;
  async function show(image, item, shot, side) {
    const inside = data.pictures[item.preview];
    if (inside) {
      image.src = `data:image/jpeg;base64,${inside[shot][side]}`;
      return;
    }
    await unpacked(item.pack);
    const name = `--${item.preview}-${shot}-${side ? "after" : "before"}`;
    const found = JPEG.exec(getComputedStyle(document.documentElement).getPropertyValue(name).trim());
    if (found) image.src = found[1];
    else image.dispatchEvent(new Event("error"));
  }

  function picture(item, shot, side, text) {
    const image = make("img", { decoding: "async", draggable: false, alt: text });
    show(image, item, shot, side);
    return image;
  }

  function compare(item, shot) {
    const label = item.labels[shot];
    const slider = make("input", { type: "range", min: "0", max: "100", step: "5", "aria-label": `Before and after: ${item.name}${label ? `, ${label}` : ""}` });
    const figure = make("figure", { className: "compare" }, picture(item, shot, 0, ""), picture(item, shot, 1, `${item.name} in colour`), slider,
      make("span", { className: "tag is-before", "aria-hidden": "true" }, "before"), make("span", { className: "tag is-after", "aria-hidden": "true" }, "after"));
    const show = (cut) => {
      slider.value = cut;
      figure.style.setProperty("--cut", `${cut}%`);
      figure.classList.toggle("whole", cut === "0" || cut === "100");
      slider.setAttribute("aria-valuetext", cut === "0" ? "after" : cut === "100" ? "before" : `${cut} % before`);
    };
    slider.addEventListener("input", () => show(slider.value));
    figure.addEventListener("error", () => figure.classList.add("lost"), true);
    figure.show = show;
    show(view());
    return figure;
  }

  function nothing(item) {
    const words = item.kind === "folder" ? "folder" : ["done", "gone"].includes(item.state) ? "no preview" : item.state in STATES ? STATES[item.state].toLowerCase() : item.state;
    return make("div", { className: "empty", "aria-hidden": "true" }, make("span", {}, words));
  }

  function look(item) {
    if (!item.labels.length) return nothing(item);
    if (item.labels.length === 1) return compare(item, 0);
    const shots = item.labels.map((label, shot) => make("li", {}, compare(item, shot), make("p", {}, label || `${shot + 1}`)));
    return make("ul", { className: "strip", "aria-label": `${item.labels.length} shots or pages of ${item.name}`, tabIndex: -1 }, ...shots);
  }

  function chips(item) {
    const all = item.reasons.map((reason) => make("li", { className: "chip" }, data.reasons[reason]));
    if (item.state !== "done") {
      all.unshift(make("li", { className: `chip state ${item.state}` }, STATES[item.state]));
      if (item.result) all.push(make("li", { className: "chip state" }, "the older result is kept"));
    }
    return all.length ? make("ul", { className: "chips", "aria-label": "Marks" }, ...all) : null;
  }

  function card(item, place) {
    const count = item.labels.length;
    const shape = count < 2 ? "" : ` strips${count === 2 ? " two" : count === 3 ? " three" : ""}`;
    const placed = [item.folder, count > 1 ? `${count} ${item.kind === "film" ? "shots" : "pages"}` : ""].filter(Boolean).join(" \u00b7 ");
    const open = make("button", { type: "button", title: "Facts, notes, files" }, item.name);
    open.addEventListener("click", () => { select(place, { quiet: true }); detail(place); });
    const shown = make("li", { className: `card${shape}`, tabIndex: -1 }, look(item),
      make("div", { className: "text" }, make("h3", {}, open), placed ? make("div", { className: "folder" }, placed) : null, chips(item),
        item.error ? make("p", { className: "why" }, data.failures[item.error[0]].text) : null));
    shown.addEventListener("focusin", () => { if (current !== place) select(place, { quiet: true }); });
    return shown;
  }

  // What is shown: the items that pass the filters, a page of them, and one of these that is current.
  let passing = items;
  let first = 0;
  let current = 0;
  let opened = 0;
  const filters = { search: byId("search"), state: byId("state"), kind: byId("kind"), reason: byId("reason"), order: byId("order") };
  const view = () => document.querySelector("input[name=view]:checked").value;

  function tests() {
    const wanted = filters.search.value.trim().toLowerCase();
    const [what, which] = filters.reason.value.split(":");
    const group = Number(which);
    const reasons = {
      look: (item) => item.reasons.length > 0,
      sign: (item) => item.reasons.includes(group),
      failure: (item) => item.error && item.error[0] === group,
      note: (item) => item.notes.some((value, place) => place % 2 === 0 && value === group),
    };
    const state = filters.state.value;
    return [
      state && ((item) => item.state === state || (state === "broken" && LISTED_FAILURES.has(item.state))),
      filters.kind.value && ((item) => item.kind === filters.kind.value),
      what && reasons[what],
      wanted && ((item) => item.path.toLowerCase().includes(wanted) || (item.error && item.error[1].toLowerCase().includes(wanted))),
    ].filter(Boolean);
  }

  const orders = {
    path: (one, other) => (one.path < other.path ? -1 : 1),
    latest: (one, other) => other.started - one.started,
    slowest: (one, other) => other.seconds - one.seconds,
  };

  function apply() {
    const all = tests();
    passing = all.length ? items.filter((item) => all.every((test) => test(item))) : items;
    const order = orders[filters.order.value];
    if (order) passing = [...passing].sort(order);
    byId("clear").hidden = !all.length;
    const whole = number(items.length);
    const place = items.length < data.total ? " on this sheet" : "";
    byId("count").textContent = (passing.length === items.length ? `${whole} items` : `${number(passing.length)} of ${whole} items`) + place;
    turn(0);
  }

  function turn(to) {
    const pages = Math.max(1, Math.ceil(passing.length / PAGE));
    first = Math.min(Math.max(0, to), pages - 1) * PAGE;
    clearPacks();
    current = first;
    const shown = passing.slice(first, first + PAGE).map((item, place) => card(item, first + place));
    byId("grid").replaceChildren(...(shown.length ? shown : [make("li", { className: "about" }, "No item passes these filters.")]));
    if (shown.length) shown[0].tabIndex = 0;
    byId("pager").hidden = pages < 2;
    byId("page").value = first / PAGE + 1;
    byId("page").max = pages;
    byId("pages").textContent = `of ${number(pages)}`;
    byId("previous").disabled = first === 0;
    byId("next").disabled = first / PAGE === pages - 1;
  }

  function turnAndShow(to) {
    turn(to);
    byId("sheet").scrollIntoView();
  }

  const cardAt = (place) => byId("grid").children[place - first];

  function select(place, { quiet = false } = {}) {
    if (!passing.length) return;
    const wanted = Math.min(Math.max(0, place), passing.length - 1);
    if (wanted < first || wanted >= first + PAGE) turn(Math.floor(wanted / PAGE));
    cardAt(current).tabIndex = -1;
    current = wanted;
    cardAt(current).tabIndex = 0;
    if (quiet) return;
    cardAt(current).focus({ preventScroll: true });
    cardAt(current).scrollIntoView({ block: "nearest" });
  }

  function columns() {
    const cards = [...byId("grid").children];
    const below = cards.findIndex((one) => one.offsetTop > cards[0].offsetTop);
    return below < 1 ? 1 : below;
  }

  function slide(within, step) {
    const figure = within.querySelector(".compare");
    if (figure) figure.show(String(Math.min(100, Math.max(0, Number(figure.querySelector("input").value) + step))));
  }

  // One item in full.
  const dialog = byId("detail");
  const pair = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  const lines = (title, texts) => (texts.length ? [make("h3", {}, title), make("ul", { className: "lines" }, ...texts.map((text) => make("li", {}, text)))] : []);
  function doubts(item) {
    const commands = every(item.doubts, 2, 1).map((text) => make("code", {}, data.texts[text]));
    const shown = every(item.doubts, 2, 0).map((text, place) => make("li", {}, `${data.texts[text]}. This decides otherwise, for every later run: `, commands[place]));
    return shown.length ? [make("h3", {}, "In doubt"), make("ul", { className: "lines" }, ...shown)] : [];
  }
  const quoted = (text) => (data.quote === "'" ? `'${text.replaceAll("'", "'\\''")}'` : `"${text}"`);
  function again(item) {
    const only = `${data.archive} --include ${quoted(`/${item.path.replace(/[*?[]/g, "[$&]")}`)}`;
    const ways = [
      ["Colours are set right on a page of their own, for every later run: ", data.review],
      ["Treat it as black and white, for every later run: ", `${only} --decide monochrome`],
      ["Colour it again: ", `${only} --overwrite`],
      ["Colour it again with less colour; a later run without the option takes that back, a saturation chosen on the page stays: ", `${only} --overwrite --saturation 0.8`],
      ["Colour it again with the colours of another picture of the same; one that is dropped on the page stays: ", `${only} --overwrite --reference PICTURE`],
    ];
    return [make("h3", {}, "Not right?"), make("ul", { className: "lines" }, ...ways.map(([what, command]) => make("li", {}, what, make("code", {}, command))))];
  }
  const every = (list, step, from) => list.filter((_, place) => place % step === from);

  function facts(item) {
    const labels = every(item.facts, 2, 0);
    const found = every(item.facts, 2, 1).map((text, place) => pair(data.texts[labels[place]], data.texts[text]));
    if (item.started) found.push(pair("Begun", new Date(item.started * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })));
    if (item.seconds) found.push(pair("Took", item.seconds < 0.1 ? "less than 0.1 s" : `${number(item.seconds, item.seconds < 10 ? 1 : 0)} s`));
    if (item.attempts) found.push(pair("Failed in", item.attempts === 1 ? "one run" : `${item.attempts} runs`));
    data.measures.forEach((name, place) => {
      const value = item.measures ? item.measures[place] : null;
      if (value !== null) found.push(pair(SIGNS[name], AS_SHARE.has(name) ? share(value) : number(value, name === "flicker" ? 2 : 0)));
    });
    return make("dl", { className: "facts" }, ...found);
  }

  const VIEWABLE = /\.(jpe?g|png|webp|gif|avif|bmp)$/i;

  function actions(item, stage) {
    const result = resultOf(item);
    const source = sourceOf(item);
    const link = (text, target) => (target ? make("a", { href: target, target: "_blank", rel: "noopener" }, text) : null);
    const whole = result && source && VIEWABLE.test(item.path) && VIEWABLE.test(result) && stage.querySelector(".compare")
      ? make("button", { type: "button" }, "Full size") : null;
    whole?.addEventListener("click", () => {
      const [before, after] = stage.querySelectorAll(".compare img");
      before.src = source;
      after.src = result;
      whole.disabled = true;
    });
    return make("p", { className: "actions" }, whole, link("Result", result), link("Source", source), link("Sidecar", data.sidecars && result && item.state === "done" ? `${result}.autochrome.json` : null));
  }

  function stageOf(item) {
    const count = item.labels.length;
    if (!count) return make("div", {});
    const place = make("div", {}, compare(item, 0));
    if (count === 1) return place;
    const choices = item.labels.map((label, shot) => {
      const choice = make("button", { type: "button", "aria-pressed": String(shot === 0) }, picture(item, shot, 1, ""), make("p", {}, label || `${shot + 1}`));
      choice.addEventListener("click", () => {
        place.replaceChildren(compare(item, shot));
        choices.forEach((one) => one.setAttribute("aria-pressed", String(one === choice)));
      });
      return choice;
    });
    return make("div", {}, place, make("ul", { className: "strip" }, ...choices.map((choice) => make("li", {}, choice))));
  }

  function detail(place) {
    const item = passing[place];
    opened = place;
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", () => dialog.close());
    const stage = stageOf(item);
    dialog.replaceChildren(
      make("header", {}, make("h2", { id: "detail-title" }, item.path), close), stage, ...[chips(item)].filter(Boolean),
      ...(item.error ? [make("p", { className: "why" }, item.error[1])] : []), ...(data.texts[item.advice] ? [make("p", {}, data.texts[item.advice])] : []),
      facts(item), ...doubts(item), ...again(item), ...lines("Notes", every(item.notes, 2, 1).map((text) => data.texts[text])),
      ...lines("Verified", item.checks.map((text) => data.texts[text])), actions(item, stage));
    if (!dialog.open) dialog.showModal();
    (dialog.querySelector(".compare input") || close).focus();
  }
  // The browser gives the focus back to where the dialog was opened, which makes that item current: go on from the last.
  dialog.addEventListener("close", () => select(opened));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // Filters and pages.
  const option = (value, text) => make("option", { value }, text);
  const short = (text) => (text.length > 90 ? `${text.slice(0, 88)}…` : text);
  function fill() {
    const count = (name) => items.reduce((all, item) => all.set(item[name], (all.get(item[name]) || 0) + 1), new Map());
    const states = count("state");
    const broken = [...LISTED_FAILURES].reduce((all, state) => all + (states.get(state) || 0), 0);
    filters.state.append(option("", "All"), ...(broken ? [option("broken", `Without result (${number(broken)})`)] : []),
      ...Object.keys(STATES).filter((state) => states.has(state)).map((state) => option(state, `${STATES[state]} (${number(states.get(state))})`)));
    const kinds = { photo: "Photographs", film: "Films", folder: "Folders" };
    filters.kind.append(option("", "All"), ...[...count("kind")].map(([kind, found]) => option(kind, `${kinds[kind] || kind} (${number(found)})`)));
    const group = (label, options) => (options.length ? [make("optgroup", { label }, ...options)] : []);
    const signs = new Map();
    items.forEach((item) => item.reasons.forEach((reason) => signs.set(reason, (signs.get(reason) || 0) + 1)));
    // Groups are of all sheets; what is offered are those of this one.
    const here = { failure: new Map(), note: new Map() };
    const meet = (what, group) => here[what].set(group, (here[what].get(group) || 0) + 1);
    items.forEach((item) => { if (item.error) meet("failure", item.error[0]); every(item.notes, 2, 0).forEach((group) => meet("note", group)); });
    const listed = (groups, what) => groups.map((one, place) => [one, place]).filter(([, place]) => here[what].has(place))
      .map(([one, place]) => option(`${what}:${place}`, `${short(one.text)} (${number(here[what].get(place))})`));
    filters.reason.append(option("", "Any or none"),
      ...group("Deserves a look", signs.size ? [option("look:", "Any of these"), ...data.reasons.map((words, place) => [place, words]).filter(([place]) => signs.has(place))
        .map(([place, words]) => option(`sign:${place}`, `${words} (${number(signs.get(place))})`))] : []),
      ...group("Why there is no result", listed(data.failures, "failure")), ...group("Notes", listed(data.notes, "note")));
  }

  let pause = 0;
  byId("controls").addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  filters.search.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(apply, 150); });
  for (const name of ["state", "kind", "reason", "order"]) filters[name].addEventListener("change", apply);
  const showAll = () => document.querySelectorAll(".compare").forEach((figure) => figure.show(view()));
  document.querySelectorAll("input[name=view]").forEach((choice) => choice.addEventListener("change", showAll));
  byId("clear").addEventListener("click", () => { preset({}); filters.search.focus(); });
  byId("previous").addEventListener("click", () => turnAndShow(first / PAGE - 1));
  byId("next").addEventListener("click", () => turnAndShow(first / PAGE + 1));
  byId("page").addEventListener("change", () => turnAndShow(Number(byId("page").value) - 1));
  byId("keys").addEventListener("click", () => byId("help").showModal());

  function preset(values) {
    for (const name of ["search", "state", "kind", "reason"]) filters[name].value = values[name] || "";
    apply();
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-state], [data-reason]");
    if (link) preset({ state: link.dataset.state, reason: link.dataset.reason });
  });

  const keys = {
    j: () => select(current + (document.activeElement.closest(".card") ? 1 : 0)),
    k: () => select(current - (document.activeElement.closest(".card") ? 1 : 0)),
    "/": () => filters.search.focus(),
    "?": () => byId("help").showModal(),
    "[": () => turnAndShow(first / PAGE - 1),
    "]": () => turnAndShow(first / PAGE + 1),
    b: () => {
      const choices = [...document.querySelectorAll("input[name=view]")];
      choices[(VIEWS.indexOf(view()) + 1) % VIEWS.length].checked = true;
      showAll();
    },
  };
  const onCard = {
    ArrowDown: () => select(current + columns()),
    ArrowUp: () => select(current - columns()),
    ArrowLeft: () => slide(cardAt(current), -10),
    ArrowRight: () => slide(cardAt(current), 10),
    Enter: () => detail(current),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    const isTyping = at.matches("select, input:not([type=range]):not([type=radio])");
    if (isTyping) {
      if (event.key === "Escape") at.blur();
      return;
    }
    let action = null;
    if (dialog.open) {
      const step = { j: 1, k: -1 }[event.key];
      if (step && passing[current + step]) action = () => { select(current + step, { quiet: true }); detail(current); };
    } else if (!document.querySelector("dialog[open]")) {
      action = keys[event.key] || (at.matches(".card") ? onCard[event.key] : null);
    }
    if (!action) return;
    event.preventDefault();
    action();
  });

  fill();
  const asked = /^#(state|reason)=(.+)$/.exec(location.hash);
  if (asked) {
    preset({ [asked[1]]: decodeURIComponent(asked[2]) });
    byId("sheet").scrollIntoView();
  } else apply();
})();
