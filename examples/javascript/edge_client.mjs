// A client of edge-serve in plain JavaScript, without dependencies.
//
// It sends requests with a function like `fetch`: that of a browser or of Node over TCP, or `unixFetch` of
// unix_fetch.mjs. docs/how-to/embed-service.md explains the decisions.

/** Why there is no answer. The numbers are the exit statuses of edge-predict. */
export const Fault = Object.freeze({
  refused: 1, // this image cannot be used; the same bytes will be refused again
  usage: 2, // the request is wrong: a missing region, an unknown parameter
  model: 3, // no such model, or another version or contract than expected
  notReady: 4, // the self-test of the model has not passed on this machine
  machine: 6, // no connection, no answer in time, a full queue or a fault of the machine; try again later
});

export class EdgeError extends Error {
  /** @param code stable, for programs  @param answer the JSON object of a refused image, else null */
  constructor(fault, code, message, answer = null) {
    super(message);
    Object.assign(this, { fault, code, answer });
  }
}

const LIMITS = Object.freeze({
  answerMs: 10_000, // for one attempt; an image waits behind those before it
  inAllMs: 30_000, // no attempt begins later than this after the first one
  pauseMs: 250, // before the next attempt where the service names none; doubled each time
  attempts: 5,
});
const LONGEST_WAIT_S = 60;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class EdgeClient {
  #base;
  #fetch;
  #limits;
  #token;

  /**
   * @param base address of the service, for example http://127.0.0.1:8000/
   * @param send a function like fetch
   * @param token bearer token, if the service asks for one
   */
  constructor(base, { send = (...given) => fetch(...given), limits = {}, token = null } = {}) {
    this.#base = base;
    this.#fetch = send;
    this.#limits = { ...LIMITS, ...limits };
    this.#token = token;
  }

  /** Throw EdgeError (Fault.model) unless the service has the expected model: {name, version?, contract?}. */
  async check(expected) {
    const { manifest } = await this.#sent(`v1/models/${encodeURIComponent(expected.name)}`, {});
    compare(expected, manifest?.spec?.name, manifest?.spec?.version, manifest?.contract);
  }

  /**
   * Answer one encoded image (a Blob, File or Uint8Array): the object that docs/prediction.schema.json describes.
   *
   * Every answer is compared with `expected`, because the service takes over a newly installed model while it runs. The
   * image is sent again after a lost connection; an answer changes nothing.
   */
  async predict(image, expected, { region = null, heatmap = false } = {}) {
    const query = new URLSearchParams({ model: expected.name });
    if (region) query.set("region", [region.x, region.y, region.radius].join(","));
    if (heatmap) query.set("heatmap", "1");
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await this.#sent(`v1/predict?${query}`, { method: "POST", body: image, headers });
    compare(expected, answer.model, answer.version, answer.contract);
    return answer;
  }

  async #sent(path, options) {
    const lastStart = performance.now() + this.#limits.inAllMs;
    let pauseMs = this.#limits.pauseMs;
    for (let attempt = 1; ; attempt += 1, pauseMs *= 2) {
      const { answer, error, waitMs } = await this.#once(path, options);
      if (!error) return answer;
      const wait = waitMs ?? pauseMs;
      const again = waitMs !== null || error.code === "connection";
      if (!again || attempt >= this.#limits.attempts || performance.now() + wait > lastStart) throw error;
      await sleep(wait);
    }
  }

  async #once(path, options) {
    const headers = { ...options.headers };
    if (this.#token !== null) headers.Authorization = `Bearer ${this.#token}`;
    const signal = AbortSignal.timeout(this.#limits.answerMs);
    let reply, text;
    try {
      reply = await this.#fetch(new URL(path, this.#base), { ...options, headers, signal, cache: "no-store" });
      text = await reply.text();
    } catch (problem) {
      const error = new EdgeError(Fault.machine, "connection", `no answer: ${problem.cause?.code ?? problem.message}`);
      return { error, waitMs: null };
    }
    const answer = parsed(text);
    if (reply.status === 200 && answer !== null) return { answer };
    return { error: errorOf(reply.status, answer), waitMs: waitOf(reply) };
  }
}

/** Return the milliseconds that a 503 asks to wait; null for other answers. */
function waitOf(reply) {
  const seconds = reply.headers.get("Retry-After");
  if (reply.status !== 503 || !/^\d+$/.test(seconds ?? "")) return null;
  return 1000 * Math.min(Number(seconds), LONGEST_WAIT_S);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function errorOf(status, answer) {
  const { code = "internal", message = `status ${status} without an error in JSON` } = answer?.error ?? {};
  if (status === 422) return new EdgeError(Fault.refused, code, message, answer);
  if (status === 404) return new EdgeError(Fault.model, code, message);
  const notReady = code === "model_not_ready" || code === "selftest_failed";
  if (status === 503) return new EdgeError(notReady ? Fault.notReady : Fault.machine, code, message);
  return new EdgeError(status >= 400 && status < 500 ? Fault.usage : Fault.machine, code, message);
}

function compare(expected, name, version, contract) {
  const found = { name, version, contract };
  for (const key of ["name", "version", "contract"]) {
    if (expected[key] && expected[key] !== found[key]) {
      throw new EdgeError(Fault.model, "model_differs", `found ${key} ${found[key]}, expected ${expected[key]}`);
    }
  }
}
