// Placing the object on the painting. What is shown when nothing moves is the composite that the run will be given.

import { post, postForPicture } from "./api.js";
import { attempt, element, newestOnly, svg } from "./dom.js";
import { Stage } from "./stage.js";

export class Placing {
  // place: {at, scale, rotate, mirror} or null; changed: told of every new place.
  constructor(background, object, selection, place, changed) {
    Object.assign(this, { background, object, selection, place, changed });
    this.stage = new Stage(background, `/api/pictures/${background.id}/shown.jpg`);
    this.stage.element.classList.add("placing");
    this.panel = element("div.tools");
    this.compose = newestOnly(() => this.#compose());
    this.version = 0;
    this.#begin();
  }

  close() {
    if (this.url) URL.revokeObjectURL(this.url);
  }

  async #begin() {
    this.box = await attempt(() => post(`/api/selections/${this.selection}/cut`));
    if (!this.box) return;
    const { width, height } = this.background;
    this.place ??= {
      at: [Math.round(width / 2), Math.round(height / 2)],
      scale: Number(Math.min(1, (0.5 * height) / this.box.height, (0.5 * width) / this.box.width).toFixed(3)),
      rotate: 0,
      mirror: false,
    };
    const { width: w, height: h, url } = this.box;
    this.cut = svg("image", {
      href: url,
      x: -w / 2,
      y: -h / 2,
      width: w,
      height: h,
      preserveAspectRatio: "none",
    });
    this.frame = svg("rect", { class: "frame", x: -w / 2, y: -h / 2, width: w, height: h });
    this.arm = svg("line", { class: "frame" });
    this.handles = [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ].map(([x, y]) => {
      const handle = svg("circle", { class: "handle scale", cx: (x * w) / 2, cy: (y * h) / 2 });
      handle.addEventListener("pointerdown", (event) => this.#scale(event));
      return handle;
    });
    this.turn = svg("circle", { class: "handle turn", cx: 0 });
    this.turn.addEventListener("pointerdown", (event) => this.#turn(event));
    this.group = svg("g", {
      tabindex: 0,
      role: "application",
      "aria-label": "The object: arrow keys move it",
    });
    this.body = svg("rect", { class: "body", x: -w / 2, y: -h / 2, width: w, height: h });
    this.body.addEventListener("pointerdown", (event) => this.#move(event));
    this.group.addEventListener("keydown", (event) => this.#key(event));
    this.group.append(this.cut, this.body, this.frame, this.arm, ...this.handles, this.turn);
    this.stage.svg.append(this.group);
    this.stage.onscale = () => this.#draw();
    this.#drawPanel();
    this.#draw();
    this.#settled();
  }

  // While it moves, the browser shows the cut-out object over the painting alone.
  #moving() {
    this.version += 1;
    this.stage.showOver(null);
    this.cut.style.display = "";
    this.#draw();
    this.fill?.();
  }

  #settled() {
    this.version += 1;
    this.changed(this.place);
    this.compose();
  }

  async #compose() {
    const version = this.version;
    const { place } = this;
    const inputs = {
      background: { picture: this.background.id },
      paste: { object: this.object.id, selection: this.selection, ...place },
    };
    this.stage.element.classList.add("busy");
    const url = await attempt(() => postForPicture("/api/composites", { inputs }));
    this.stage.element.classList.remove("busy");
    if (!url || version !== this.version) return;
    await this.stage.showOver(url);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = url;
    if (version === this.version) this.cut.style.display = "none";
  }

  #draw() {
    if (!this.group) return;
    const { at, scale, rotate, mirror } = this.place;
    const sign = mirror ? -1 : 1;
    this.group.setAttribute(
      "transform",
      `translate(${at}) rotate(${rotate}) scale(${sign * scale} ${scale})`,
    );
    const unit = 1 / (this.stage.scale * scale); // a pixel of the screen
    const top = -this.box.height / 2;
    for (const handle of [...this.handles, this.turn]) handle.setAttribute("r", 7 * unit);
    this.turn.setAttribute("cy", top - 28 * unit);
    const arm = { x1: 0, x2: 0, y1: top, y2: top - 28 * unit };
    for (const [key, value] of Object.entries(arm)) this.arm.setAttribute(key, value);
  }

  #move(event) {
    const [x, y] = this.stage.point(event);
    const [left, top] = this.place.at;
    this.group.focus({ preventScroll: true });
    this.stage.drag(
      event,
      ([nextX, nextY]) => {
        this.place = { ...this.place, at: [Math.round(left + nextX - x), Math.round(top + nextY - y)] };
        this.#moving();
      },
      () => this.#settled(),
    );
  }

  #scale(event) {
    const from = this.#distance(this.stage.point(event));
    const { scale } = this.place;
    this.stage.drag(
      event,
      (point) => {
        const next = Math.min(Math.max((scale * this.#distance(point)) / from, 0.01), 20);
        this.place = { ...this.place, scale: Number(next.toFixed(3)) };
        this.#moving();
      },
      () => this.#settled(),
    );
  }

  #turn(event) {
    this.stage.drag(
      event,
      ([x, y], { shiftKey }) => {
        const degrees = (Math.atan2(y - this.place.at[1], x - this.place.at[0]) * 180) / Math.PI + 90;
        const step = shiftKey ? 15 : 1;
        this.place = { ...this.place, rotate: ((Math.round(degrees / step) * step + 540) % 360) - 180 };
        this.#moving();
      },
      () => this.#settled(),
    );
  }

  #distance([x, y]) {
    return Math.hypot(x - this.place.at[0], y - this.place.at[1]) || 1;
  }

  #key(event) {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [x, y] = this.place.at;
    this.place = { ...this.place, at: [x + move[0], y + move[1]] };
    this.#moving();
    this.#settled();
  }

  #drawPanel() {
    const change = (more) => {
      this.place = { ...this.place, ...more };
      this.#moving();
      this.#settled();
    };
    const number = (label, read, write, more = {}) => {
      const input = element("input", { type: "number", step: 1, ...more });
      input.onchange = () => input.value !== "" && change(write(Number(input.value)));
      return [element("label.unit", {}, label, input), () => (input.value = read())];
    };
    const [left, fillLeft] = number(
      "x",
      () => this.place.at[0],
      (x) => ({ at: [x, this.place.at[1]] }),
    );
    const [top, fillTop] = number(
      "y",
      () => this.place.at[1],
      (y) => ({ at: [this.place.at[0], y] }),
    );
    const [scale, fillScale] = number(
      "size",
      () => Math.round(1000 * this.place.scale) / 10,
      (percent) => ({ scale: Math.max(percent, 1) / 100 }),
      { min: 1, max: 2000 },
    );
    const [rotate, fillRotate] = number(
      "angle",
      () => this.place.rotate,
      (angle) => ({ rotate: angle }),
    );
    const mirror = element("input", { type: "checkbox", checked: this.place.mirror });
    mirror.onchange = () => change({ mirror: mirror.checked });
    this.fill = () => [fillLeft, fillTop, fillScale, fillRotate].forEach((fill) => fill());
    this.fill();
    this.panel.append(
      element(
        "p.hint",
        {},
        "Drag the object; drag a corner to scale it, the handle above to turn it. ",
        "Arrow keys move it by a pixel.",
      ),
      element("div.row", {}, left, top),
      element("div.row", {}, scale, "%", rotate, "°"),
      element("label.check", {}, mirror, "Mirror"),
    );
  }
}
