// Four corners of a region, such as a screen, to be dragged.

import { element, svg } from "./dom.js";
import { Stage } from "./stage.js";

export class Corners {
  // corners: four [x, y] or null; changed: told of every new four.
  constructor(picture, corners, changed) {
    const { width, height } = picture;
    this.picture = picture;
    this.corners =
      corners ||
      [
        [0.25, 0.25],
        [0.75, 0.25],
        [0.75, 0.75],
        [0.25, 0.75],
      ].map(([x, y]) => [Math.round(x * width), Math.round(y * height)]);
    this.changed = changed;
    this.stage = new Stage(picture, `/api/pictures/${picture.id}/shown.jpg`);
    this.shape = svg("polygon", { class: "region" });
    this.handles = this.corners.map((_, number) => {
      const handle = svg("circle", { class: "handle", tabindex: 0, role: "application" });
      handle.setAttribute("aria-label", `Corner ${number + 1}: arrow keys move it`);
      handle.addEventListener("pointerdown", (event) => {
        handle.focus({ preventScroll: true });
        this.stage.drag(
          event,
          (point) => this.#put(number, point),
          () => this.changed(this.corners),
        );
      });
      handle.addEventListener("keydown", (event) => this.#key(number, event));
      return handle;
    });
    this.stage.svg.append(this.shape, ...this.handles);
    this.stage.onscale = () => this.#draw();
    this.said = element("p.said", { role: "status" });
    this.panel = element(
      "div.tools",
      {},
      element(
        "p.hint",
        {},
        "Drag the four corners onto those of the region, such as a screen. ",
        "With the keyboard: Tab to a corner, arrow keys move it.",
      ),
      this.said,
    );
    this.#draw();
    if (!corners) changed(this.corners);
  }

  close() {}

  #put(number, [x, y]) {
    const inside = (value, most) => Math.round(Math.min(Math.max(value, 0), most - 1));
    this.corners = this.corners.with(number, [inside(x, this.picture.width), inside(y, this.picture.height)]);
    this.#draw();
  }

  #key(number, event) {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [x, y] = this.corners[number];
    this.#put(number, [x + move[0], y + move[1]]);
    this.changed(this.corners);
  }

  #draw() {
    this.shape.setAttribute("points", this.corners.map((corner) => corner.join(",")).join(" "));
    for (const [number, handle] of this.handles.entries()) {
      const [cx, cy] = this.corners[number];
      for (const [key, value] of Object.entries({ cx, cy, r: 9 / this.stage.scale }))
        handle.setAttribute(key, value);
    }
    this.said.textContent = this.corners.map((corner) => corner.join(",")).join("   ");
  }
}
