// The scenario "throttled", with Node's fetch: a client that pages is refused twice, tries again, and misses nothing.
// Against a fake that somebody has started: fakebatch serve --port 8888
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

const base = process.argv[2] ?? "http://127.0.0.1:8888";

async function control(method, path, body) {
  const response = await fetch(`${base}/_fakebatch${path}`, {method, body});
  const text = await response.text();
  assert.ok(response.ok, text); // what is wrong is said with its place
  return text && JSON.parse(text);
}

async function isUp() {
  try {
    return (await control("GET", "/health")).status === "ok";
  } catch {
    return false;
  }
}

/** The code under test: it lists all images, and tries again what is throttled, five times at most. */
async function imageIds() {
  const ids = [];
  let marker = "";
  let refused = 0;
  for (;;) {
    const response = await fetch(`${base}/images?${new URLSearchParams({Marker: marker, MaxItemCount: 50})}`);
    const page = await response.json();
    if (response.ok) {
      ids.push(...page.Items.map((image) => image.Id));
      marker = page.NextMarker;
      if (!marker) return ids;
    } else if (++refused > 5) {
      throw new Error(`${page.Code}: ${page.Message}`);
    }
  }
}

for (let tries = 0; !(await isUp()); tries += 1) {
  assert.ok(tries < 100, `there is no fake at ${base}`);
  await pause(100);
}

// A world, and what goes wrong in it. Bodies are YAML or JSON.
await control("PUT", "/world", 'images: [{Id: "img-{n:03}", repeat: 120}]');
await control("POST", "/script", "{on: ListImages, calls: 2-3, fail: Throttling.User}");

const listed = await imageIds();
assert.equal(new Set(listed).size, 120);

const {calls} = await control("GET", "/calls?operation=ListImages");
assert.deepEqual(calls.map((call) => call.status), [200, 400, 400, 200, 200]);

await control("POST", "/reset");
console.log(`listed ${listed.length} images in ${calls.length} calls`);
