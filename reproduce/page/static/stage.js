// A picture to work on: it fits its place, can be zoomed, and knows where in it the pointer is.

import { element, svg } from "./dom.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

export class Stage {
  // picture: {width, height} of the whole picture, in whose pixels all points are; url: what shows it.
  constructor(picture, url) {
    this.picture = picture;
    this.image = element("img", { src: url, alt: picture.name || "", draggable: false });
    this.over = element("img.over", { alt: "", draggable: false, hidden: true });
    this.svg = svg("svg", { viewBox: `-0.5 -0.5 ${picture.width} ${picture.height}` });
    this.canvas = element("div.canvas", {}, this.image, this.over, this.svg);
    this.scroll = element("div.scroll", {}, this.canvas);
    this.zoom = 1;
    const button = (text, title, step) =>
      element("button.quiet", { title, ariaLabel: title, onclick: () => this.#zoomBy(step) }, text);
    const zooms = element("div.zooms", {}, button("−", "Zoom out", -1), button("+", "Zoom in", 1));
    this.element = element("div.stage", {}, this.scroll, zooms);
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.scroll);
    this.scroll.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  // Pixels of the screen that a pixel of the picture takes.
  get scale() {
    return this.canvas.getBoundingClientRect().width / this.picture.width || 1;
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / this.scale - 0.5, (event.clientY - box.top) / this.scale - 0.5];
  }

  // The overlay is shown once it is there, so that nothing flickers.
  async showOver(url) {
    if (!url) {
      this.over.hidden = true;
      return;
    }
    const loading = new Image();
    loading.src = url;
    await loading.decode().catch(() => {});
    this.over.src = url;
    this.over.hidden = false;
  }

  // Follows the pointer from where it is pressed: moved(point, event), then ended(point, event).
  drag(event, moved, ended = () => {}) {
    event.preventDefault();
    const target = this.svg;
    if (event.isTrusted) target.setPointerCapture(event.pointerId); // not where keys move it
    this.dragging = true;
    const move = (next) => moved(this.point(next), next);
    const end = (last) => {
      target.removeEventListener("pointermove", move);
      target.removeEventListener("pointerup", end);
      target.removeEventListener("pointercancel", end);
      this.dragging = false;
      ended(this.point(last), last);
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("pointerup", end);
    target.addEventListener("pointercancel", end);
  }

  // What a pointer does, by keys: arrows move a crosshair, the space bar presses, and lets go of what is being dragged.
  // The label says so, also to who sees the focus here.
  takeKeys(label) {
    const { width, height } = this.picture;
    const cross = svg("path", { class: "cross" });
    let at = [width / 2, height / 2];
    const tell = (type) => {
      const box = this.canvas.getBoundingClientRect();
      const clientX = box.left + (at[0] + 0.5) * this.scale;
      const clientY = box.top + (at[1] + 0.5) * this.scale;
      this.svg.dispatchEvent(new PointerEvent(type, { clientX, clientY }));
    };
    this.svg.setAttribute("tabindex", 0);
    this.svg.setAttribute("role", "application");
    this.svg.setAttribute("aria-label", label);
    this.element.append(element("p.keys", { ariaHidden: "true" }, label));
    this.svg.addEventListener("blur", () => cross.remove());
    this.svg.addEventListener("pointermove", (event) => {
      if (!event.isTrusted) return;
      at = this.point(event);
      cross.remove();
    });
    this.svg.addEventListener("keydown", (event) => {
      const step = (event.shiftKey ? 20 : 2) / this.scale;
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const move = event.key === " " ? [0, 0] : moves[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const put = (place, most) => Math.min(Math.max(at[place] + move[place] * step, 0), most - 1);
      at = [put(0, width), put(1, height)];
      const arm = 12 / this.scale;
      cross.setAttribute("d", `M${at[0] - arm} ${at[1]}h${2 * arm}M${at[0]} ${at[1] - arm}v${2 * arm}`);
      this.svg.append(cross);
      cross.scrollIntoView({ block: "nearest", inline: "nearest" });
      tell("pointermove");
      if (event.key === " ") tell(this.dragging ? "pointerup" : "pointerdown");
    });
  }

  #fit() {
    const { clientWidth, clientHeight } = this.scroll;
    const fitting = Math.min(clientWidth / this.picture.width, clientHeight / this.picture.height, 4);
    this.canvas.style.width = `${Math.floor(this.picture.width * fitting * this.zoom)}px`;
    this.canvas.style.height = `${Math.floor(this.picture.height * fitting * this.zoom)}px`;
    this.onscale?.();
  }

  #zoomBy(step, event) {
    const place = Math.min(Math.max(ZOOMS.indexOf(this.zoom) + step, 0), ZOOMS.length - 1);
    const box = this.scroll.getBoundingClientRect();
    const [left, top] = event
      ? [event.clientX - box.left, event.clientY - box.top]
      : [box.width / 2, box.height / 2];
    const factor = ZOOMS[place] / this.zoom;
    const { scrollLeft, scrollTop } = this.scroll;
    this.zoom = ZOOMS[place];
    this.#fit();
    this.scroll.scrollTo((scrollLeft + left) * factor - left, (scrollTop + top) * factor - top);
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.#zoomBy(event.deltaY < 0 ? 1 : -1, event);
  }
}
