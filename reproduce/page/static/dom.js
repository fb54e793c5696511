// Elements, and messages to the user.

const SVG = "http://www.w3.org/2000/svg";

// element("button.quiet", {onclick, title}, "Text", otherElement)
export function element(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  made.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// One of several: radio buttons that look like one bar. options: [[value, label, title]]
export function choice(name, label, options, value, onchange) {
  const buttons = options.map(([each, text, title]) => {
    const input = element("input", { type: "radio", name, value: each, checked: each === value });
    input.onchange = () => onchange(each);
    return element("label", { title: title || "" }, input, element("span", {}, text));
  });
  return element("fieldset.choice", {}, element("legend", {}, label), ...buttons);
}

export function slider(label, { min, max, step, value, format = (number) => number }, oninput) {
  const shown = element("span", {}, String(format(value))); // no <output>: the label would be its
  const input = element("input", { type: "range", min, max, step, value });
  input.oninput = () => {
    shown.textContent = format(Number(input.value));
    oninput(Number(input.value));
  };
  return element("label.slider", {}, element("span", {}, label, shown), input);
}

export function say(text, kind = "") {
  const close = element("button.quiet", { title: "Close", ariaLabel: "Close" }, "×");
  const message = element("div.message", {}, element("span", {}, text), close);
  if (kind) message.classList.add(kind);
  close.onclick = () => message.remove();
  document.querySelector("#messages").append(message);
  setTimeout(() => message.remove(), kind === "error" ? 15000 : 6000);
}

// Runs what may fail, and says how; returns what it gives, or undefined.
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message, "error");
    return undefined;
  }
}

// A function that is called with the newest arguments only, one call at a time.
export function newestOnly(work) {
  let running = false;
  let waiting = null;
  return async function call(...given) {
    if (running) {
      waiting = given;
      return;
    }
    running = true;
    await work(...given);
    running = false;
    if (waiting) {
      const next = waiting;
      waiting = null;
      await call(...next);
    }
  };
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
