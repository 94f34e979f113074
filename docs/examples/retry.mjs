// Tries a client that lists images against "fakebatch serve": in the middle a server has a bad moment.
//
//     fakebatch serve & node retry.mjs http://127.0.0.1:8888
//
// The client is the function `listImages`: put yours in its place. It needs Node 18 or later, and no packages.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

const url = process.argv[2] ?? "http://127.0.0.1:8888";
const control = `${url}/_fakebatch`;
const { ATTEMPTS = 5, DELAY = 1, PATIENCE = 30 } = process.env; // the last two in seconds

// The client: pages of 100, by their markers; what is refused is asked for again, after a while.

async function* listImages() {
  let marker = "";
  do {
    const page = await getPage(marker);
    yield* page.Items;
    marker = page.NextMarker;
  } while (marker);
}

async function getPage(marker) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(`${url}/images?${new URLSearchParams({ Marker: marker, MaxItemCount: 100 })}`);
    const data = await answer.json();
    if (answer.ok) return data;
    if (attempt >= ATTEMPTS) throw new Error(`gave up after ${attempt} attempts: ${data.Code}`);
    await sleep(DELAY * 1000);
  }
}

// The test: what is at `control` is the fake's own, and no call.

async function ask(method, path, body) {
  const answer = await fetch(control + path, { method, body });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${text}`); // it says what is wrong, and where
  return text && JSON.parse(text);
}

async function isUp() {
  return fetch(`${control}/health`).then((answer) => answer.ok, () => false);
}

async function waitUntilUp() {
  for (let seconds = 0; !(await isUp()); seconds += 1) {
    assert.ok(seconds < PATIENCE, `nobody answers at ${control}/health; is fakebatch serve running?`);
    await sleep(1000);
  }
}

async function main() {
  await waitUntilUp();
  await ask("PUT", "/world", 'images:\n  - {Id: "img-{n:04}", repeat: 250}\n');
  await ask("POST", "/script", "{on: ListImages, calls: 2, fail: InternalError}");

  const ids = [];
  for await (const image of listImages()) ids.push(image.Id);
  assert.deepEqual(ids, Array.from({ length: 250 }, (_, n) => `img-${String(n).padStart(4, "0")}`));

  const { calls } = await ask("GET", "/calls?operation=ListImages");
  assert.deepEqual(calls.map((call) => call.status), [200, 500, 200, 200]);
  assert.equal(calls[1].code, "InternalError");

  await ask("POST", "/reset");
  console.log(`listed ${ids.length} images, and asked again after 1 refusal`);
}

main().catch((error) => {
  console.error(`retry.mjs: ${error.message}`);
  process.exitCode = 1;
});
