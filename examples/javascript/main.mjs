// Answers images by a running edge-serve: node main.mjs --socket PATH --model NAME IMAGE...
// Exit status as edge-predict: 0 answered, 1 an image was refused, 2 usage, 3 another model, 4 not ready, 6 machine.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { EdgeClient, EdgeError, Fault } from "./edge_client.mjs";
import { unixFetch } from "./unix_fetch.mjs";

const OPTIONS = {
  socket: { type: "string" },
  url: { type: "string" },
  model: { type: "string" },
  "expect-version": { type: "string" },
  "expect-contract": { type: "string" },
  region: { type: "string" },
  attempts: { type: "string" },
  json: { type: "boolean" },
};

function asked() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (!(values.socket || values.url) || !values.model || positionals.length === 0) {
    throw new EdgeError(Fault.usage, "usage", "expected --socket or --url, --model and an image");
  }
  const [x, y, radius] = (values.region ?? "").split(",").map(Number);
  if (values.region && ![x, y, radius].every(Number.isFinite)) {
    throw new EdgeError(Fault.usage, "usage", `found region ${values.region}, expected X,Y,RADIUS`);
  }
  return { values, images: positionals, region: values.region ? { x, y, radius } : null };
}

async function content(path) {
  try {
    return await readFile(path);
  } catch (problem) {
    throw new EdgeError(Fault.usage, "usage", problem.message);
  }
}

async function run() {
  const { values, images, region } = asked();
  const limits = values.attempts ? { attempts: Number(values.attempts) } : {};
  const send = values.socket ? unixFetch(values.socket) : undefined;
  const client = new EdgeClient(values.url ?? "http://localhost/", { send, limits });
  const expected = { name: values.model, version: values["expect-version"], contract: values["expect-contract"] };
  await client.check(expected);
  let status = 0;
  for (const path of images) {
    try {
      const answer = await client.predict(await content(path), expected, { region });
      const words = `${path}: ${answer.decision} (${answer.reason}), score ${answer.score.toFixed(4)}`;
      console.log(values.json ? JSON.stringify(answer) : words);
    } catch (error) {
      if (error.fault !== Fault.refused) throw error;
      console.error(`${path}: no answer [${error.code}] ${error.message}`);
      if (values.json) console.log(JSON.stringify(error.answer));
      status = Fault.refused;
    }
  }
  return status;
}

try {
  process.exitCode = await run();
} catch (error) {
  console.error(`error [${error.code ?? "usage"}]: ${error.message}`);
  process.exitCode = error.fault ?? Fault.usage;
}
