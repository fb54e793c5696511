// Looking at results: before and after under a slider, pixel by pixel, or beside another run.

import { choice, element } from "./dom.js";

const ZOOMS = [
  ["fit", "Fit"],
  ["1", "1:1"],
  ["2", "2×"],
  ["4", "4×"],
  ["8", "8×"],
];

export class Viewer {
  constructor() {
    this.zoom = "fit";
    this.share = 0.5;
    this.panes = element("div.panes");
    this.zooms = element("div");
    this.element = element("div.viewer", {}, this.panes, this.zooms);
    this.#drawZooms();
    this.observer = new ResizeObserver(() => this.#size());
    this.observer.observe(this.panes);
  }

  // pictures: [{title, after, before}], addresses; before may be missing.
  async show(pictures) {
    const same = JSON.stringify(pictures);
    if (same === this.shown) return;
    this.shown = same;
    const panes = await Promise.all(pictures.map((picture) => this.#pane(picture)));
    if (same !== this.shown) return;
    this.panes.replaceChildren(...panes);
    this.#size();
    this.#split(this.share);
  }

  // Another picture in the place of the last one, without flickering: the image so far of a run.
  async update(url) {
    const image = this.panes.querySelector("img.after");
    if (!image) return;
    const next = new Image();
    next.src = url;
    await next.decode().catch(() => {});
    if (next.naturalWidth) image.src = url;
  }

  async #pane({ title, after, before }) {
    const load = async (url, kind) => {
      const image = element(`img.${kind}`, { src: url, alt: `${title}, ${kind}`, draggable: false });
      await image.decode().catch(() => {});
      return image;
    };
    const images = await Promise.all([load(after, "after"), ...(before ? [load(before, "before")] : [])]);
    const canvas = element("div.canvas", {}, ...images);
    const pane = element(
      "figure.pane",
      {},
      element("div.scroll", {}, canvas),
      element("figcaption", {}, title),
    );
    if (before) {
      const line = element("div.split");
      const input = element("input.split", { type: "range", min: 0, max: 1, step: 0.002, value: this.share });
      input.ariaLabel = "Before and after";
      input.oninput = () => this.#split(Number(input.value));
      canvas.append(line, input);
    }
    const scroll = pane.querySelector(".scroll");
    scroll.onscroll = () => this.#follow(scroll);
    return pane;
  }

  #split(share) {
    this.share = share;
    for (const canvas of this.panes.querySelectorAll(".canvas")) {
      const before = canvas.querySelector(".before");
      if (!before) continue;
      before.style.clipPath = `inset(0 ${100 * (1 - share)}% 0 0)`;
      canvas.querySelector("div.split").style.left = `${100 * share}%`;
      canvas.querySelector("input.split").value = share;
    }
  }

  // Both panes show the same place.
  #follow(from) {
    for (const scroll of this.panes.querySelectorAll(".scroll")) {
      if (scroll !== from && (scroll.scrollLeft !== from.scrollLeft || scroll.scrollTop !== from.scrollTop)) {
        scroll.scrollTo(from.scrollLeft, from.scrollTop);
      }
    }
  }

  #size() {
    for (const pane of this.panes.querySelectorAll(".pane")) {
      const [scroll, canvas] = [pane.querySelector(".scroll"), pane.querySelector(".canvas")];
      const { naturalWidth: width, naturalHeight: height } = pane.querySelector(".after");
      if (!width) continue;
      const fitting = Math.min(scroll.clientWidth / width, scroll.clientHeight / height, 4);
      const scale = this.zoom === "fit" ? fitting : Number(this.zoom) / devicePixelRatio;
      canvas.style.width = `${Math.floor(width * scale)}px`;
      canvas.style.height = `${Math.floor(height * scale)}px`;
      canvas.classList.toggle("pixels", scale * devicePixelRatio >= 2);
    }
  }

  #drawZooms() {
    this.zooms.replaceChildren(
      choice("zoom", "Zoom", ZOOMS, this.zoom, (zoom) => {
        const first = this.panes.querySelector(".scroll");
        const middle = first && [
          (first.scrollLeft + first.clientWidth / 2) / first.scrollWidth,
          (first.scrollTop + first.clientHeight / 2) / first.scrollHeight,
        ];
        this.zoom = zoom;
        this.#size();
        if (first) {
          first.scrollTo(
            middle[0] * first.scrollWidth - first.clientWidth / 2,
            middle[1] * first.scrollHeight - first.clientHeight / 2,
          );
        }
      }),
    );
  }
}
