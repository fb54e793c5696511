// What the server is asked. Every answer is JSON; a refusal is an Error with the server's sentence.

let limits = { bytes: 200e6 };

export async function get(path) {
  return answer(await reach(path));
}

export async function post(path, body = {}) {
  return answer(await reach(path, { method: "POST", body: JSON.stringify(body) }));
}

// A picture that the server makes, as an address that an <img> takes.
export async function postForPicture(path, body) {
  const response = await reach(path, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) await answer(response);
  return URL.createObjectURL(await response.blob());
}

// The file travels as it is, byte for byte.
export async function upload(file) {
  if (file.size > limits.bytes) {
    const megabytes = Math.round(limits.bytes / 1e6);
    throw new Error(`Expected a file of at most ${megabytes} MB. Received: a larger one: ${file.name}`);
  }
  const name = encodeURIComponent(file.name || "pasted.png");
  return answer(await reach(`/api/pictures?name=${name}`, { method: "POST", body: file }));
}

export async function forms() {
  const found = await get("/api/forms");
  limits = found.limits;
  return found.applications;
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
}

async function answer(response) {
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`The server failed (${response.status}): its terminal says why.`);
  }
  if (!response.ok) throw new Error(value.error);
  return value;
}
