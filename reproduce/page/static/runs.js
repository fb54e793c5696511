// All runs: the queue, what computes, and what came out.

import { get, post } from "./api.js";
import { attempt, duration, element, say, svg } from "./dom.js";
import { Viewer } from "./viewer.js";

const ACTIVE = ["queued", "computing"];
const PRESETS = ["refined", "paper", "gatys"];

export class Gallery {
  // counted: told how many runs wait or compute.
  constructor(counted) {
    this.counted = counted;
    this.runs = [];
    this.chosen = null;
    this.beside = "";
    this.viewer = new Viewer();
    this.list = element("ul.runs", { ariaLabel: "Runs" });
    this.live = element("div.tools");
    this.actions = element("div.tools");
    this.details = element("aside", { hidden: true }, this.live, this.actions);
    this.none = element("p.none", {}, "There are no runs yet.");
    this.element = element(
      "section.gallery",
      {},
      element("div.list", {}, this.list, this.none),
      this.viewer.element,
      this.details,
    );
    this.#follow();
  }

  open() {
    this.isOpen = true;
    this.refresh();
  }

  close() {
    this.isOpen = false;
  }

  choose(id, beside = "") {
    this.chosen = id;
    this.beside = beside;
    this.refresh();
  }

  // Asks what is new, often while something computes.
  async #follow() {
    try {
      await this.refresh(true);
      this.lost = false;
    } catch (error) {
      if (!this.lost) say(error.message, "error");
      this.lost = true;
    }
    const active = this.runs.some(({ state }) => ACTIVE.includes(state));
    setTimeout(() => this.#follow(), active ? 1000 : 3000);
  }

  async refresh(failing = false) {
    const work = async () => {
      this.runs = await get("/api/runs");
      this.counted(this.runs.filter(({ state }) => ACTIVE.includes(state)).length);
      if (!this.isOpen) return;
      if (!this.runs.some(({ id }) => id === this.chosen)) this.chosen = this.runs[0]?.id;
      this.#drawList();
      await this.#drawChosen();
    };
    return failing ? work() : attempt(work);
  }

  // Entries stay what they are while only their states change: what is pressed must not be replaced meanwhile.
  #drawList() {
    this.none.hidden = this.runs.length > 0;
    const same = JSON.stringify(this.runs.map(({ id, before, files }) => [id, before, files.result]));
    if (same !== this.listed) {
      this.listed = same;
      const focused = this.list.contains(document.activeElement) && document.activeElement.dataset.id;
      this.list.replaceChildren(...this.runs.map((run) => element("li", {}, this.#entry(run))));
      if (focused) this.list.querySelector(`[data-id="${focused}"]`)?.focus();
    }
    for (const [number, button] of [...this.list.querySelectorAll("button")].entries()) {
      const run = this.runs[number];
      button.lastChild.className = `state ${run.state}`;
      button.lastChild.textContent = stateText(run);
      if (run.id === this.chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #entry(run) {
    const button = element(
      "button",
      { onclick: () => this.choose(run.id) },
      element("img", { src: file(run, run.files.result || run.before, "small"), alt: "", loading: "lazy" }),
      element("span.name", {}, run.name || run.application),
      element("small", {}, `${run.application}, ${run.preset}`),
      element("span.state"),
    );
    button.dataset.id = run.id;
    return button;
  }

  async #drawChosen() {
    this.details.hidden = !this.chosen;
    if (!this.chosen) return;
    const run = await get(`/api/runs/${this.chosen}`);
    if (run.id !== this.chosen) return;
    await this.#drawPictures(run);
    this.live.replaceChildren(...liveParts(run));
    // What can be pressed is made anew only where it changes, or a press and the focus would be lost every second.
    const others = this.runs.map(({ id, state }) => [id, state]);
    const stands = JSON.stringify([
      run.id,
      run.state,
      run.files,
      run.notices,
      run.progress.stopping,
      this.beside,
      others,
    ]);
    if (stands === this.drawn) return;
    this.drawn = stands;
    this.#drawActions(run);
  }

  async #drawPictures(run) {
    const before = file(run, run.before, "shown");
    if (ACTIVE.includes(run.state)) {
      const current = run.progress.current ? `${file(run, "current.png")}?${run.progress.current}` : before;
      await this.viewer.show([{ title: run.progress.current ? "so far" : "before", after: before }]);
      if (run.progress.current) await this.viewer.update(current);
      return;
    }
    const pictures = [
      run.files.result
        ? { title: titleOf(run), after: file(run, run.files.result), before }
        : { title: "there is no result; this is what came in", after: before },
    ];
    const other = this.runs.find(({ id }) => id === this.beside);
    if (other?.files.result) {
      pictures.push({
        title: titleOf(other),
        after: file(other, other.files.result),
        before: file(other, other.before, "shown"),
      });
    }
    await this.viewer.show(pictures);
  }

  #drawActions(run) {
    const act =
      (path, body, then = () => {}) =>
      async () => {
        const answer = await attempt(() => post(`/api/runs/${run.id}/${path}`, body));
        if (answer) then(answer);
        this.refresh();
      };
    const parts = [];
    if (ACTIVE.includes(run.state)) {
      const stopping = Boolean(run.progress.stopping);
      const text = run.state === "queued" ? "Take out of the queue" : "Stop, keep the best so far";
      parts.push(
        element("button.main", { onclick: act("stop"), disabled: stopping }, stopping ? "Stopping …" : text),
      );
    } else {
      const again = (preset) => act("again", { preset }, ({ id }) => this.choose(id, preset ? run.id : ""));
      const others = PRESETS.filter((preset) => preset !== run.preset);
      parts.push(
        ...this.#downloads(run),
        ...this.#comparing(run),
        element(
          "div.row",
          {},
          element("button", { onclick: again(null) }, "Run again"),
          ...others.map((preset) =>
            element("button", { onclick: again(preset), title: `the same with ${preset}` }, `with ${preset}`),
          ),
        ),
      );
    }
    if (run.notices.length) {
      parts.push(
        element(
          "details",
          {},
          element("summary", {}, "Notices"),
          ...run.notices.map((notice) => element("p.hint", {}, notice)),
        ),
      );
    }
    parts.push(this.#command(run));
    if (run.state !== "computing") {
      const remove = act("remove", {}, () => (this.chosen = null));
      const asked = () => confirm("Remove this run and its files?") && remove();
      parts.push(element("button.quiet.danger", { onclick: asked }, "Remove this run"));
    }
    this.actions.replaceChildren(...parts);
  }

  #downloads(run) {
    const names = {
      result: "Picture (PNG)",
      report: "Report",
      mask: "Mask",
      composite: "Composite",
      stylized: "Painted whole",
      log: "Log",
    };
    const links = Object.entries(names)
      .filter(([what]) => run.files[what] && (what !== "log" || run.state === "failed"))
      .map(([what, text]) =>
        element(
          "a.button",
          { href: file(run, run.files[what], "download"), download: `${run.id}_${run.files[what]}` },
          text,
        ),
      );
    return links.length ? [element("div.row.downloads", {}, ...links)] : [];
  }

  #comparing(run) {
    const others = this.runs.filter(({ id, files }) => id !== run.id && files.result);
    if (!run.files.result || !others.length) return [];
    const select = element(
      "select",
      {},
      element("option", { value: "" }, "no other run"),
      ...others.map((other) => element("option", { value: other.id }, titleOf(other))),
    );
    select.value = this.beside;
    select.onchange = () => {
      this.beside = select.value;
      this.refresh();
    };
    return [element("label.field", {}, element("span", {}, "Side by side with"), select)];
  }

  #command(run) {
    const copy = element(
      "button.quiet",
      {
        onclick: () =>
          attempt(async () => {
            await navigator.clipboard.writeText(run.typed);
            say("The commands are in the clipboard.");
          }),
      },
      "Copy",
    );
    return element(
      "details",
      {},
      element("summary", {}, "The same as a command line"),
      element("pre", { tabIndex: 0 }, run.typed),
      copy,
    );
  }
}

function file(run, name, as) {
  return `/api/runs/${run.id}/${name}${as ? `?as=${as}` : ""}`;
}

function titleOf(run) {
  return `${run.name || run.application}, ${run.preset}${run.state === "done" ? "" : ` (${run.state})`}`;
}

function stateText(run) {
  if (run.state === "computing") {
    if (run.progress.stopping) return "stopping …";
    return run.progress.share
      ? `computing, ${Math.round(100 * run.progress.share)} %`
      : "computing, getting ready";
  }
  if (run.state === "queued") return "waits in the queue";
  return run.ended && run.started && run.state === "done"
    ? `done in ${duration(run.ended - run.started)}`
    : run.state;
}

// What of a run changes every second.
function liveParts(run) {
  const began = new Date(1000 * run.created).toLocaleString();
  const parts = [
    element("h2", {}, run.name || run.application),
    element("p.hint", {}, `${run.application}, preset ${run.preset}, ${began}`),
    element(`p.state.${run.state}`, {}, stateText(run)),
  ];
  if (run.message) parts.push(element(`p.${run.state === "failed" ? "wrong" : "hint"}`, {}, run.message));
  if (run.state === "computing") parts.push(...progressOf(run));
  if (run.losses.length > 1) parts.push(lossCurve(run.losses));
  return parts;
}

function progressOf(run) {
  const { stage, share, left, done, total, loss } = run.progress;
  const bar = element("progress", { max: 1, ariaLabel: "Progress" });
  if (share) bar.value = share;
  const optimizing = stage === "optimizing";
  const text = [];
  if (stage) text.push(optimizing ? `iteration ${done} of ${total}` : stage);
  if (left) text.push(`${duration(left)} left`);
  if (loss !== undefined) text.push(`loss ${loss.toPrecision(4)}`);
  return [bar, element("p.hint", {}, text.join(", "))];
}

// The loss of all iterations; it falls by orders of magnitude, and jumps where a stage begins.
function lossCurve(losses) {
  const [width, height] = [260, 70];
  const logs = losses.map((loss) => Math.log10(Math.max(loss, 1e-12)));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const place = (value, number) => {
    const x = (number / (logs.length - 1)) * width;
    return `${x.toFixed(1)},${(height - ((value - low) / (high - low || 1)) * (height - 8) - 4).toFixed(1)}`;
  };
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "curve", role: "img" });
  drawn.setAttribute(
    "aria-label",
    `Loss from ${losses[0].toPrecision(3)} to ${losses.at(-1).toPrecision(3)}`,
  );
  drawn.append(svg("polyline", { points: logs.map(place).join(" ") }));
  return element(
    "figure.loss",
    {},
    drawn,
    element(
      "figcaption",
      {},
      `loss (logarithmic): ${losses[0].toPrecision(3)} → ${losses.at(-1).toPrecision(3)}`,
    ),
  );
}
