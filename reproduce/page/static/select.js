// Selecting an object: the tools; what they select is the server's to say.

import { post, upload } from "./api.js";
import { attempt, choice, element, newestOnly, slider, svg } from "./dom.js";
import { Stage } from "./stage.js";

const TOOLS = [
  ["click", "Click", "all that is connected and of the colour under the pointer"],
  ["box", "Box", "an object in a loose box around it"],
  ["scissors", "Scissors", "lines that follow edges from click to click"],
  ["lasso", "Lasso", "draw around it"],
  ["polygon", "Polygon", "straight lines from click to click"],
  ["brush", "Brush", "paint what is to be selected"],
  ["eraser", "Eraser", "wipe away what is selected"],
];
const HINTS = {
  click:
    "Click on the object, or click on a plain backdrop and invert. The tolerance changes the last click.",
  box: "Drag a box that leaves some room around the object.",
  scissors: "Click along the object's edge. Click on the first point, or press Enter, to close.",
  lasso: "Draw around the object.",
  polygon: "Click corner by corner. Click on the first point, or press Enter, to close.",
  brush: "Paint over the object.",
  eraser: "Wipe away what is too much.",
};
const CLOSE = 10; // pixels of the screen in which a click means a point

export class Selecting {
  // picture: an uploaded one; state: of its selection, from the server; changed: told of every new state.
  constructor(picture, state, changed) {
    this.picture = picture;
    this.state = state;
    this.changed = changed;
    this.tool = "click";
    this.mode = "replace";
    this.tolerance = 0.1;
    this.radius = Math.max(4, Math.round(Math.max(picture.width, picture.height) / 60));
    this.points = [];
    this.line = [];
    this.ahead = [];
    this.busy = Promise.resolve();
    this.stage = new Stage(picture, `/api/pictures/${picture.id}/shown.jpg`);
    this.stage.element.classList.add("selecting");
    this.stage.takeKeys("Arrow keys move a crosshair, the space bar presses and lets go");
    this.stage.svg.addEventListener("pointerdown", (event) => this.#press(event));
    this.stage.svg.addEventListener("pointermove", (event) => this.#hover(event));
    this.keys = (event) => this.#key(event);
    document.addEventListener("keydown", this.keys);
    this.again = newestOnly((operation) => this.#send({ ...operation, again: true }));
    this.lookAhead = newestOnly((point) => this.#lookAhead(point));
    this.panel = element("div.tools");
    this.#drawPanel();
    this.#show();
  }

  close() {
    document.removeEventListener("keydown", this.keys);
  }

  // Does something on the server; one after the other, in the order in which they were asked for.
  #send(operation) {
    this.busy = this.busy.then(async () => {
      this.stage.element.classList.add("busy");
      const state = await attempt(() => post(`/api/selections/${this.state.id}`, operation));
      if (state) {
        this.last = operation.kind === "click" ? operation : null;
        this.state = state;
        await this.#show();
        this.changed(state);
      }
      this.stage.element.classList.remove("busy");
    });
    return this.busy;
  }

  async #show() {
    const { id, step, share, empty, can_undo, can_redo } = this.state;
    await this.stage.showOver(`/api/selections/${id}/${step}/shown.png`);
    this.undo.disabled = !can_undo;
    this.redo.disabled = !can_redo;
    const percent = (100 * share).toFixed(share < 0.1 ? 1 : 0);
    this.said.textContent = empty ? "Nothing is selected yet." : `${percent} % of the picture is selected.`;
  }

  #select(kind, more) {
    return this.#send({ kind, mode: this.mode, ...more });
  }

  #press(event) {
    if (event.button !== 0) return;
    const point = this.stage.point(event);
    if (this.tool === "click") {
      this.#select("click", { points: [point], tolerance: this.tolerance });
    } else if (this.tool === "polygon" || this.tool === "scissors") {
      this.#addPoint(point);
    } else {
      this.#draw(event, point);
    }
  }

  // Box, lasso, brush and eraser: what is drawn while the pointer is down.
  #draw(event, start) {
    const points = [start];
    const stroke = this.tool === "brush" || this.tool === "eraser";
    const shape = svg(this.tool === "box" ? "rect" : "polyline", { class: stroke ? "stroke" : "line" });
    if (stroke) shape.setAttribute("stroke-width", 2 * this.radius);
    this.stage.svg.append(shape);
    const draw = () => {
      if (this.tool === "box") {
        const [[x0, y0], [x1, y1]] = [points[0], points.at(-1)];
        shape.setAttribute("x", Math.min(x0, x1));
        shape.setAttribute("y", Math.min(y0, y1));
        shape.setAttribute("width", Math.abs(x1 - x0));
        shape.setAttribute("height", Math.abs(y1 - y0));
      } else {
        shape.setAttribute("points", [...points, points.at(-1)].map((point) => point.join(",")).join(" "));
      }
    };
    draw();
    const tool = this.tool;
    this.stage.drag(
      event,
      (point) => {
        const [x, y] = points.at(-1);
        if (Math.hypot(point[0] - x, point[1] - y) * this.stage.scale < 2) return;
        points.push(point);
        draw();
      },
      async () => {
        const far = Math.hypot(points.at(-1)[0] - start[0], points.at(-1)[1] - start[1]) * this.stage.scale;
        if (tool === "box" && far > 5) await this.#select("box", { points: [start, points.at(-1)] });
        if (tool === "lasso" && points.length > 2) await this.#select("polygon", { points });
        if (stroke) {
          const mode = tool === "brush" ? "add" : "subtract";
          await this.#send({ kind: "stroke", mode, points, radius: this.radius });
        }
        shape.remove();
      },
    );
  }

  // Polygon and scissors: a point more, or the end.
  async #addPoint(point) {
    const [first] = this.points;
    const near = first && Math.hypot(point[0] - first[0], point[1] - first[1]) * this.stage.scale < CLOSE;
    if (near) {
      this.#closeShape();
      return;
    }
    this.points.push(point);
    if (this.tool === "polygon" || this.points.length === 1) {
      this.line.push(point);
      this.#drawShape();
      return;
    }
    const ends = this.points.slice(-2);
    const shape = this.points;
    this.line.push(point);
    this.ahead = [];
    this.#drawShape();
    const found = await attempt(() => this.#edges(ends));
    if (!found || shape !== this.points) return;
    const place = this.line.indexOf(point);
    this.line.splice(place, 1, ...found.slice(1, -1), point);
    this.#drawShape();
  }

  // The line along edges from the last point to where the pointer is: scissors show it before the click.
  async #lookAhead(pointer) {
    const last = this.points.at(-1);
    const found = last && (await this.#edges([last, pointer]).catch(() => null)); // a click says what is wrong
    if (!found || last !== this.points.at(-1)) return;
    this.ahead = found.slice(1);
    this.#drawShape(this.pointer);
  }

  async #edges(ends) {
    const { id, width, height } = this.picture;
    const points = ends.map(([x, y]) => [
      Math.min(Math.max(x, 0), width - 1),
      Math.min(Math.max(y, 0), height - 1),
    ]);
    return (await post(`/api/pictures/${id}/edges`, { points })).points;
  }

  #closeShape() {
    const { points, tool } = this;
    this.#dropShape();
    if (points.length > 2) this.#select(tool, { points });
  }

  #dropShape() {
    this.points = [];
    this.line = [];
    this.ahead = [];
    this.#drawShape();
  }

  #drawShape(pointer) {
    this.stage.svg.querySelectorAll(".shape").forEach((old) => old.remove());
    if (!this.points.length) return;
    const line = pointer ? [...this.line, ...this.ahead, pointer] : this.line;
    const text = line.map((point) => point.join(",")).join(" ");
    this.stage.svg.append(svg("polyline", { class: "line shape", points: text }));
    for (const [number, [cx, cy]] of this.points.entries()) {
      const r = (number ? 3 : 6) / this.stage.scale;
      this.stage.svg.append(svg("circle", { class: "dot shape", cx, cy, r }));
    }
  }

  #hover(event) {
    this.pointer = this.stage.point(event);
    if (this.points.length) this.#drawShape(this.pointer);
    if (this.points.length && this.tool === "scissors") this.lookAhead(this.pointer);
    if (this.tool !== "brush" && this.tool !== "eraser") {
      this.ring?.remove();
      this.ring = null;
      return;
    }
    const [cx, cy] = this.pointer;
    this.ring ??= this.stage.svg.appendChild(svg("circle", { class: "ring" }));
    for (const [key, value] of Object.entries({ cx, cy, r: this.radius })) this.ring.setAttribute(key, value);
  }

  #key(event) {
    if (event.target.matches?.("input:not([type=radio], [type=range]), select, textarea")) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      this.#send({ kind: event.shiftKey ? "redo" : "undo" });
    } else if (this.points.length && event.key === "Enter") {
      event.preventDefault();
      this.#closeShape();
    } else if (this.points.length && event.key === "Escape") {
      this.#dropShape();
    }
  }

  #drawPanel() {
    const operate = (text, title, operation) =>
      element("button", { title, onclick: () => this.#send(operation()) }, text);
    this.undo = operate("Undo", "Ctrl Z", () => ({ kind: "undo" }));
    this.redo = operate("Redo", "Ctrl Shift Z", () => ({ kind: "redo" }));
    this.said = element("p.said", { role: "status" });
    this.hint = element("p.hint");
    this.extra = element("div");
    const amount = element("input", { type: "number", min: 1, max: 100, value: 3, ariaLabel: "pixels" });
    const pixels = (sign) => ({ kind: "grow", pixels: sign * Number(amount.value) });
    const file = element("input", { type: "file", accept: "image/*", hidden: true });
    file.onchange = () => attempt(() => this.#load(file));
    const load = element("button", { onclick: () => file.click(), title: "white, or opaque, on the object" });
    load.append("Load a mask …");
    const modes = [
      ["replace", "New"],
      ["add", "Add"],
      ["subtract", "Subtract"],
    ];
    this.panel.append(
      choice("tool", "Tool", TOOLS, this.tool, (tool) => this.#take(tool)),
      this.hint,
      this.extra,
      choice("mode", "What is found", modes, this.mode, (mode) => (this.mode = mode)),
      element(
        "div.row",
        {},
        this.undo,
        this.redo,
        operate("Clear", "", () => ({ kind: "clear" })),
      ),
      element(
        "div.row",
        {},
        operate("Invert", "", () => ({ kind: "invert" })),
        operate("Fill holes", "", () => ({ kind: "fill-holes" })),
        load,
        file,
      ),
      element(
        "div.row",
        {},
        operate("Grow", "widen the edge", () => pixels(1)),
        operate("Shrink", "narrow the edge", () => pixels(-1)),
        operate("Feather", "soften the edge", () => ({ kind: "feather", pixels: Number(amount.value) })),
        element("label.unit", {}, "by", amount, "px"),
      ),
      this.said,
    );
    this.#take(this.tool);
  }

  #take(tool) {
    this.tool = tool;
    this.#dropShape();
    this.hint.textContent = HINTS[tool];
    this.extra.replaceChildren();
    if (tool === "click") {
      const format = (value) => `${Math.round(100 * value)} %`;
      this.extra.append(
        slider("Tolerance", { min: 0, max: 0.5, step: 0.01, value: this.tolerance, format }, (value) => {
          this.tolerance = value;
          if (this.last) this.again({ ...this.last, tolerance: value });
        }),
      );
    }
    if (tool === "brush" || tool === "eraser") {
      const most = Math.round(Math.min(1000, Math.max(this.picture.width, this.picture.height) / 8));
      const format = (value) => `${value} px`;
      this.extra.append(
        slider("Radius", { min: 1, max: most, step: 1, value: this.radius, format }, (value) => {
          this.radius = value;
        }),
      );
    }
  }

  async #load(input) {
    const picture = await upload(input.files[0]);
    input.value = "";
    await this.#select("mask", { picture: picture.id });
  }
}
