// The three ways to make a picture, each in a few steps: pictures in, what is to be painted, settings, run.

import { get, post, postForPicture, upload } from "./api.js";
import { Corners } from "./corners.js";
import { attempt, choice, duration, element, newestOnly, say } from "./dom.js";
import { Placing } from "./place.js";
import { Selecting } from "./select.js";
import { keepUsable, settingsForm } from "./settings.js";
import { Stage } from "./stage.js";

export const WAYS = {
  harmonise: {
    title: "Harmonise",
    about: "Paste an object into a painting, and make it look painted.",
    steps: ["Pictures", "Select", "Place", "Run"],
    slots: [
      { name: "background", label: "The painting" },
      { name: "object", label: "A photograph with the object" },
    ],
    demo: { background: ["river.jpg"], object: ["balloon.jpg"] },
  },
  restyle: {
    title: "Restyle",
    about: "Paint a part of a picture, such as a screen, in the style of a painting.",
    steps: ["Pictures", "Region", "Run"],
    slots: [
      { name: "image", label: "The picture" },
      {
        name: "style",
        label: "The painting whose style the part takes",
        several: "another style, for another part",
      },
      { name: "background_style", label: "A style for the rest", optional: true },
    ],
    demo: { image: ["telephone.jpg"], style: ["night.jpg"] },
  },
  paint: {
    title: "Paint",
    about: "Paint a whole picture in the style of a painting; what you select keeps its details.",
    steps: ["Pictures", "Details", "Run"],
    slots: [
      { name: "content", label: "The picture to paint" },
      { name: "style", label: "The painting whose style it takes", several: "another style, to blend" },
    ],
    demo: { content: ["telephone.jpg"], style: ["river.jpg"] },
  },
};
const DEMO_BACKDROP = [
  [5, 5],
  [160, 256],
]; // the latter between the ropes of the balloon
const DEMO_CORNERS = [
  [47, 221],
  [474, 155],
  [555, 317],
  [53, 411],
];

export class Work {
  // way: a key of WAYS; forms: of the applications; started: told of the run that was queued.
  constructor(way, forms, started) {
    Object.assign(this, { way, forms, started, about: WAYS[way] });
    this.state = this.#remembered();
    this.plan = newestOnly((asked) => this.#showPlan(asked));
    this.place = element("div.place");
    this.side = element("aside");
    this.element = element("section.work", {}, this.place, this.side);
  }

  async open() {
    if (!this.checked) {
      this.checked = true;
      await this.#forgetWhatIsGone();
    }
    this.#draw();
  }

  close() {
    this.view?.close?.();
    this.view = null;
  }

  // A picture from the clipboard goes where there is still room.
  paste(files) {
    const slot = this.about.slots.find(({ name }) => !this.#in(name).length) || this.about.slots[0];
    for (const file of files) attempt(() => this.#take(slot, file));
  }

  // State: what survives a reload of the page, in this tab of the browser.

  #remembered() {
    const empty = {
      step: 0,
      pictures: {},
      selections: {},
      part: 0,
      place: null,
      corners: null,
      region: "corners",
    };
    const settings = { preset: "refined", values: {} };
    try {
      return { ...empty, settings, ...JSON.parse(sessionStorage.getItem(this.way)) };
    } catch {
      return { ...empty, settings };
    }
  }

  #remember(changes = {}) {
    Object.assign(this.state, changes);
    sessionStorage.setItem(this.way, JSON.stringify(this.state));
    this.#drawSteps();
  }

  async #forgetWhatIsGone() {
    const there = (path) =>
      get(path).then(
        () => true,
        () => false,
      );
    for (const [slot, pictures] of Object.entries(this.state.pictures)) {
      const kept = await Promise.all(pictures.map(({ id }) => there(`/api/pictures/${id}`)));
      this.state.pictures[slot] = pictures.filter((_, number) => kept[number]);
    }
    for (const [part, { id }] of Object.entries(this.state.selections)) {
      if (!(await there(`/api/selections/${id}`))) delete this.state.selections[part];
    }
    while (this.state.step && !this.#reachable(this.state.step)) this.state.step -= 1;
  }

  #in(slot) {
    return this.state.pictures[slot] || [];
  }

  // The slot of the picture that is selected in, or restyled, or painted.
  get #main() {
    return { harmonise: "object", restyle: "image", paint: "content" }[this.way];
  }

  #isSelected(part = 0) {
    const selection = this.state.selections[part];
    return Boolean(selection && !selection.empty);
  }

  #reachable(step) {
    const filled = this.about.slots.every(({ name, optional }) => optional || this.#in(name).length);
    if (step >= 1 && !filled) return false;
    if (this.way === "harmonise") return step < 2 || this.#isSelected();
    if (this.way === "restyle" && step === 2) {
      if (this.state.region === "corners") return Boolean(this.state.corners);
      return this.#in("style").every((_, part) => this.#isSelected(part));
    }
    return true;
  }

  // What is asked of the server.

  get #asked() {
    const { settings, selections, place, corners, region } = this.state;
    const picture = (slot, number = 0) => ({ picture: this.#in(slot)[number].id });
    const mask = (part) => ({ selection: selections[part].id });
    const inputs = {};
    let application = "harmonize";
    if (this.way === "harmonise") {
      inputs.background = picture("background");
      inputs.paste = { object: this.#in("object")[0].id, selection: selections[0].id, ...place };
    } else if (this.way === "restyle") {
      application = "restyle-region";
      inputs.image = picture("image");
      inputs.style = picture("style");
      if (region === "corners") inputs.corners = corners;
      else {
        inputs.mask = mask(0);
        inputs.also = this.#in("style")
          .slice(1)
          .map((_, number) => [picture("style", number + 1), mask(number + 1)]);
      }
      if (this.#in("background_style").length) inputs.background_style = picture("background_style");
    } else {
      inputs.content = picture("content");
      application = this.#isSelected() ? "keep-details" : "stylize";
      if (application === "keep-details") {
        inputs.style = picture("style");
        inputs.mask = mask(0);
      } else {
        inputs.style = this.#in("style").map((_, number) => picture("style", number));
        if (inputs.style.length > 1) inputs.blend = this.#in("style").map(({ weight }) => weight ?? 1);
      }
    }
    const names = this.about.slots.flatMap(({ name }) => this.#in(name).map((entry) => bare(entry.name)));
    const name =
      this.way === "harmonise" ? `${names[1]} in ${names[0]}` : `${names[0]} as ${names.slice(1).join(", ")}`;
    return { application, preset: settings.preset, settings: settings.values, inputs, name };
  }

  // Drawing.

  #draw() {
    this.close();
    const { step } = this.state;
    const title = this.about.steps[step];
    const views = {
      Pictures: () => this.#picturesView(),
      Select: () => this.#selectView(0),
      Place: () => this.#placeView(),
      Region: () => this.#regionView(),
      Details: () => this.#selectView(0),
      Run: () => this.#runView(),
    };
    this.steps = element("ol.steps");
    const panel = element("div.panel");
    this.back = element("button", { onclick: () => this.#go(step - 1), hidden: step === 0 }, "Back");
    this.next = element("button.main", { onclick: () => this.#go(step + 1) }, "Next");
    this.run = element("button.main", { onclick: () => this.#run(), hidden: title !== "Run" }, "Run");
    this.side.replaceChildren(this.steps, panel, element("div.row.foot", {}, this.back, this.next, this.run));
    const view = views[title]();
    if (this.state.step !== step) return; // it has gone on at once
    this.view = view;
    panel.replaceChildren(...[].concat(view.panel));
    this.place.replaceChildren(view.stage.element || view.stage);
    this.#drawSteps();
  }

  #drawSteps() {
    if (!this.steps) return;
    const { step } = this.state;
    this.steps.replaceChildren(
      ...this.about.steps.map((title, number) => {
        const disabled = number !== step && !this.#reachable(number);
        const button = element("button", { disabled, onclick: () => this.#go(number) }, title);
        if (number === step) button.setAttribute("aria-current", "step");
        return element("li", {}, button);
      }),
    );
    const isLast = step === this.about.steps.length - 1;
    this.next.hidden = isLast;
    this.next.disabled = isLast || !this.#reachable(step + 1);
    if (this.about.steps[step] === "Details")
      this.next.textContent = this.#isSelected() ? "Next" : "Next: keep nothing";
  }

  #go(step) {
    this.#remember({ step });
    this.#draw();
  }

  #picturesView() {
    const demo = element(
      "button.main",
      { onclick: () => attempt(() => this.#tryIt()) },
      "Try it with pictures of ours",
    );
    const panel = [
      element("h2", {}, this.about.title),
      element("p", {}, this.about.about),
      element(
        "p.hint",
        {},
        "Drop files on the fields, choose them, or paste from the clipboard. ",
        "PNG, JPEG, TIFF, WebP and others; they stay on this machine.",
      ),
    ];
    if (!Object.values(this.state.pictures).some((pictures) => pictures.length)) panel.push(demo);
    const stage = element("div.slots", {}, ...this.about.slots.map((slot) => this.#slot(slot)));
    return { panel, stage };
  }

  #slot(slot) {
    const pictures = this.#in(slot.name);
    const input = element("input", { type: "file", accept: "image/*,.heic,.heif", ariaLabel: slot.label });
    input.onchange = () => {
      for (const file of input.files) attempt(() => this.#take(slot, file));
    };
    const cards = pictures.map((picture, number) => {
      const remove = () => {
        this.state.pictures[slot.name] = pictures.filter((each) => each !== picture);
        this.#changedPictures(slot.name, number);
      };
      const weight = element("input", { type: "number", min: 0, step: "any", value: picture.weight ?? 1 });
      weight.onchange = () => {
        picture.weight = Number(weight.value);
        this.#remember();
      };
      const isBlended = this.way === "paint" && slot.several && pictures.length > 1;
      return element(
        "figure",
        {},
        element("img", { src: `/api/pictures/${picture.id}/shown.jpg`, alt: picture.name }),
        element(
          "figcaption",
          {},
          element("span", { title: picture.name }, `${picture.name}`),
          element("small", {}, `${picture.width} × ${picture.height}`),
          isBlended &&
            element("label.unit", { title: "how much of it, beside the others" }, "counts", weight),
          element("button.quiet", { onclick: remove, ariaLabel: `Remove ${picture.name}` }, "Remove"),
        ),
      );
    });
    const asks = !pictures.length ? slot.label : slot.several;
    const drop =
      asks &&
      element(
        "label.drop",
        {},
        input,
        element("strong", {}, asks + (slot.optional && !pictures.length ? " (if wanted)" : "")),
        element("span", {}, "Drop a file here, or choose one"),
      );
    if (pictures.length && drop) drop.classList.add("small");
    const shown = element("div.slot", {}, ...cards, drop || null);
    shown.ondragover = (event) => {
      event.preventDefault();
      shown.classList.add("over");
    };
    shown.ondragleave = () => shown.classList.remove("over");
    shown.ondrop = (event) => {
      event.preventDefault();
      for (const file of event.dataTransfer.files) attempt(() => this.#take(slot, file));
    };
    return shown;
  }

  async #take(slot, file) {
    this.place.classList.add("busy");
    try {
      const picture = await upload(file);
      picture.notices.forEach((notice) => say(notice));
      const pictures = slot.several ? [...this.#in(slot.name), picture] : [picture];
      this.state.pictures[slot.name] = pictures;
      this.#changedPictures(slot.name, pictures.length - 1);
    } finally {
      this.place.classList.remove("busy");
    }
  }

  // What was selected or placed in another picture is no longer of use.
  #changedPictures(slot, number) {
    if (slot === this.#main)
      Object.assign(this.state, { selections: {}, corners: null, place: null, part: 0 });
    if (slot === "style" && this.way === "restyle" && number < Object.keys(this.state.selections).length) {
      this.state.selections = {};
      this.state.part = 0;
    }
    if (slot === "background") this.state.place = null;
    this.#remember({ step: 0 });
    this.#draw();
  }

  async #tryIt() {
    this.place.classList.add("busy");
    for (const [slot, names] of Object.entries(this.about.demo)) {
      this.state.pictures[slot] = await Promise.all(
        names.map(async (name) => {
          const response = await fetch(`static/demo/${name}`);
          return upload(new File([await response.blob()], name));
        }),
      );
    }
    this.place.classList.remove("busy");
    if (this.way === "restyle") this.state.corners = DEMO_CORNERS;
    if (this.way === "harmonise") {
      const { id } = await post("/api/selections", { picture: this.#in("object")[0].id });
      await post(`/api/selections/${id}`, {
        kind: "click",
        mode: "replace",
        points: DEMO_BACKDROP,
        tolerance: 0.1,
      });
      this.state.selections[0] = await post(`/api/selections/${id}`, { kind: "invert" });
      this.state.place = { at: [440, 190], scale: 0.9, rotate: 0, mirror: false };
      say("The balloon is selected already: Place it, or go back to Select.");
    }
    this.#go(this.way === "harmonise" ? 2 : 1);
  }

  #selectView(part, more = []) {
    const picture = this.#in(this.#main)[0];
    const view = { panel: [], stage: element("div.loading", {}, "…"), close: () => {} };
    const draw = (selection) => {
      const selecting = new Selecting(picture, selection, (state) => {
        this.state.selections[part] = state;
        this.#remember();
      });
      view.close = () => selecting.close();
      this.side.querySelector(".panel").replaceChildren(...more, selecting.panel);
      this.place.replaceChildren(selecting.stage.element);
    };
    const known = this.state.selections[part];
    attempt(async () => {
      const selection = await (known || post("/api/selections", { picture: picture.id }));
      if (!known) {
        this.state.selections[part] = selection;
        this.#remember();
      }
      if (this.view === view) draw(selection);
    });
    return view;
  }

  #placeView() {
    const [background] = this.#in("background");
    const [object] = this.#in("object");
    return new Placing(background, object, this.state.selections[0].id, this.state.place, (place) => {
      this.#remember({ place });
    });
  }

  #regionView() {
    const { region, part } = this.state;
    const options = [
      ["corners", "Four corners"],
      ["shape", "Any shape"],
    ];
    const head = [
      choice("region", "The part", options, region, (value) => {
        this.#remember({ region: value });
        this.#draw();
      }),
    ];
    if (region === "corners") {
      if (this.#in("style").length > 1)
        head.push(element("p.hint", {}, "Four corners take the first style alone."));
      const view = new Corners(this.#in("image")[0], this.state.corners, (corners) =>
        this.#remember({ corners }),
      );
      return { stage: view.stage, panel: [...head, view.panel], close: () => view.close() };
    }
    const styles = this.#in("style");
    if (styles.length > 1) {
      const parts = styles.map(({ name }, number) => [number, bare(name)]);
      head.push(
        choice("part", "The part that takes the style of", parts, part, (number) => {
          this.#remember({ part: number });
          this.#draw();
        }),
      );
    }
    return this.#selectView(part, head);
  }

  #runView() {
    const asked = this.#asked;
    const form = this.forms[asked.application];
    const { settings } = this.state;
    settings.values = keepUsable(
      settings.values,
      form,
      settings.values.style_loss ?? form.presets[settings.preset].style_loss,
    );
    const planned = element("p.plan", { role: "status" }, "What it will take is being worked out …");
    const { run } = this;
    const changed = (next) => {
      this.#remember({ settings: next });
      this.plan({ asked: this.#asked, planned, run });
    };
    this.plan({ asked, planned, run });
    const picture = this.#in(this.way === "harmonise" ? "background" : this.#main)[0];
    const stage = new Stage(picture, `/api/pictures/${picture.id}/shown.jpg`);
    if (this.way === "harmonise") {
      attempt(async () => stage.showOver(await postForPicture("/api/composites", { inputs: asked.inputs })));
    } else if (this.way === "restyle" && this.state.region === "corners") {
      stage.svg.append(new Corners(picture, this.state.corners, () => {}).shape);
    } else if (this.#isSelected()) {
      const { id, step } = this.state.selections[0];
      stage.showOver(`/api/selections/${id}/${step}/shown.png`);
    }
    run.parentElement.before(planned); // in sight, however long the form is
    const panel = [settingsForm(form, settings, changed)];
    if (asked.application === "keep-details" && this.#in("style").length > 1) {
      panel.unshift(element("p.hint", {}, "Where details are kept, only the first style is used."));
    }
    return { stage, panel };
  }

  async #showPlan({ asked, planned, run }) {
    const expected = await post("/api/plan", asked).catch((error) => ({ error: error.message }));
    planned.classList.toggle("wrong", Boolean(expected.error));
    run.disabled = Boolean(expected.error);
    if (expected.error) {
      planned.textContent = expected.error;
      return;
    }
    const { memory, available, seconds, working } = expected;
    const time = seconds === null ? "time: being measured …" : `about ${duration(seconds + 10)}`;
    const short = available !== null && memory > available;
    planned.textContent =
      `Works at ${working[0]} × ${working[1]} pixels: ${time}, ${(memory / 1e9).toFixed(1)} GB of memory` +
      (short ? `; only ${(available / 1e9).toFixed(1)} GB are free now.` : ".");
    planned.classList.toggle("wrong", short);
    if (seconds === null && planned.isConnected) {
      setTimeout(() => planned.isConnected && this.plan({ asked: this.#asked, planned, run }), 2000);
    }
  }

  async #run() {
    const button = this.run;
    button.disabled = true;
    const run = await attempt(() => post("/api/runs", this.#asked));
    button.disabled = false;
    if (run) this.started(run.id);
  }
}

function bare(name) {
  return name.replace(/\.[^.]*$/, "").slice(0, 40);
}
