// The page: tabs for what to do, and one for the runs.

import { forms } from "./api.js";
import { attempt, element } from "./dom.js";
import { Gallery } from "./runs.js";
import { WAYS, Work } from "./work.js";

const tabs = document.querySelector("#tabs");
const main = document.querySelector("#main");
const queue = document.querySelector("#queue");
let open = null;

const known = await attempt(forms);
if (known) {
  const gallery = new Gallery((active) => {
    queue.textContent = active ? `${active} ${active === 1 ? "run" : "runs"} in the queue` : "";
    document.title = active ? `(${active}) Reproduce` : "Reproduce: paste, select and paint";
  });
  const show = (run) => {
    gallery.choose(run);
    go("runs");
  };
  const pages = Object.fromEntries(Object.keys(WAYS).map((way) => [way, new Work(way, known, show)]));
  const titles = Object.entries(WAYS).map(([way, { title }]) => [way, title]);
  pages.runs = gallery;
  for (const [name, title] of [...titles, ["runs", "Runs"]]) {
    tabs.append(element("button", { role: "tab", id: `tab-${name}`, onclick: () => go(name) }, title));
  }

  function go(name) {
    open?.close();
    open = pages[name];
    location.hash = name;
    for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.id === `tab-${name}`));
    main.replaceChildren(open.element);
    open.open();
  }

  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
    if (files.length) open.paste?.(files);
  });
  // A file that is dropped beside its field is not to replace the page.
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
  window.addEventListener("hashchange", () => {
    const name = location.hash.slice(1);
    if (name in pages && pages[name] !== open) go(name);
  });
  go(location.hash.slice(1) in pages ? location.hash.slice(1) : "harmonise");
}
