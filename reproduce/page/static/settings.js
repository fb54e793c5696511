// The form of an application's settings, made from what the server says of them.

import { choice, element, slider } from "./dom.js";

const PRESETS = {
  refined: "for results: full resolution, no coloured noise",
  paper: "the paper's method with its settings",
  gatys: "Gatys et al. 2016, to compare with",
};

// form: of the application; state: {preset, values}, where values are those that were changed; changed: told of all.
export function settingsForm(form, state, changed) {
  const shown = element("form.settings", { onsubmit: (event) => event.preventDefault() });
  const draw = () => {
    const preset = form.presets[state.preset];
    const loss = state.values.style_loss ?? preset.style_loss;
    const usable = form.settings.filter(({ losses }) => !losses.length || losses.includes(loss));
    const set = (setting, value) => {
      state.values = { ...state.values };
      if (value === undefined || same(value, preset[setting.name])) delete state.values[setting.name];
      else state.values[setting.name] = value;
      if (setting.name === "style_loss") state.values = keepUsable(state.values, form, value);
      changed(state);
      if (setting.name === "style_loss") draw();
    };
    const field = (setting) =>
      settingField(setting, state.values[setting.name], preset[setting.name], (value) => set(setting, value));
    const groups = new Map();
    for (const setting of usable.filter(({ first }) => !first)) {
      groups.set(setting.group, [...(groups.get(setting.group) || []), setting]);
    }
    const isOpen = shown.querySelector("details.more")?.open ?? false;
    const order = ["strength", "keep_colors", "iterations", "scale"];
    const first = order.map((name) => usable.find((setting) => setting.name === name)).filter(Boolean);
    const options = Object.keys(PRESETS).map((name) => [name, name, PRESETS[name]]);
    shown.replaceChildren(
      choice("preset", "Preset", options, state.preset, (name) => {
        state.preset = name;
        state.values = keepUsable(
          state.values,
          form,
          state.values.style_loss ?? form.presets[name].style_loss,
        );
        changed(state);
        draw();
      }),
      element("p.hint", {}, `${state.preset}: ${PRESETS[state.preset]}.`),
      ...first.map(field),
      element(
        "details.more",
        { open: isOpen },
        element("summary", {}, "More settings"),
        ...[...groups].map(([group, settings]) =>
          element("fieldset", {}, element("legend", {}, group), ...settings.map(field)),
        ),
      ),
    );
  };
  draw();
  return shown;
}

// The values of settings that the application and the style loss have.
export function keepUsable(values, form, loss) {
  const usable = form.settings.filter(({ losses }) => !losses.length || losses.includes(loss));
  const names = new Set(usable.map(({ name }) => name));
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.has(name)));
}

function settingField(setting, value, preset, set) {
  const { name, kind, help, choices } = setting;
  const label = name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
  const now = value ?? preset;
  if (name === "strength" || name === "scale") {
    const [min, step] = name === "scale" ? [0.1, 0.05] : [0, 0.05];
    const format = (number) => `${Math.round(100 * number)} %`;
    const made = slider(label, { min, max: 1, step, value: now, format }, set);
    made.title = help;
    return made;
  }
  if (kind === "bool") {
    const input = element("input", { type: "checkbox", checked: now, name });
    input.onchange = () => set(input.checked);
    return element("label.check", { title: help }, input, label, element("small", {}, help));
  }
  let input;
  if (kind === "choice") {
    input = element("select", { name }, ...choices.map((each) => element("option", { value: each }, each)));
    input.value = now;
    input.onchange = () => set(input.value);
  } else {
    const numeric = kind === "int" || kind === "float";
    const text = (shown) => (Array.isArray(shown) ? shown.join(",") : String(shown ?? ""));
    input = element("input", { type: numeric ? "number" : "text", name, placeholder: text(preset) });
    if (numeric) input.step = kind === "int" ? 1 : "any";
    input.value = value === undefined ? "" : text(value);
    input.onchange = () => set(parsed(input.value, kind));
  }
  return element(
    "label.field",
    { title: help },
    element("span", {}, label),
    input,
    element("small", {}, help),
  );
}

// undefined where nothing was typed: the preset's value.
function parsed(text, kind) {
  if (text.trim() === "") return undefined;
  if (kind === "int" || kind === "float") return Number(text);
  if (kind !== "tuple") return text;
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  return parts.every((part) => !Number.isNaN(Number(part))) ? parts.map(Number) : parts;
}

function same(first, second) {
  return JSON.stringify(first) === JSON.stringify(second);
}
