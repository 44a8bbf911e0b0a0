// Requests to the service that this page came from; there are no others.

const PROBE_MS = 4000;

/** Why a request has no answer: `code` is stable, `message` is the service's own text and may be empty. */
export class Problem extends Error {
  constructor(code, message = "", { status = 0, retryAfter = null } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export class Service {
  #token = null;

  /** Use an access token for every later request. It is kept in memory alone. */
  useToken(token) {
    this.#token = token;
  }

  /** Return the models that the service answers with. */
  async models() {
    const answer = await this.#request("v1/models");
    return Array.isArray(answer) ? answer : answer.models;
  }

  /** Return the spec, card and measured figures of a model. */
  model(name) {
    return this.#request(`v1/models/${encodeURIComponent(name)}`);
  }

  /** Return the service's answer to an image: an object of docs/prediction.schema.json. */
  predict(file, { model, region, heatmap, signal }) {
    const query = new URLSearchParams({ model });
    if (region) query.set("region", [region.x, region.y, region.radius].join(","));
    if (heatmap) query.set("heatmap", "1");
    // the bytes alone: the file's name stays in this page
    const body = { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" }, signal };
    return this.#request(`v1/predict?${query}`, body);
  }

  async #request(path, options = {}) {
    const headers = { Accept: "application/json", ...options.headers };
    if (this.#token !== null) headers.Authorization = `Bearer ${this.#token}`;
    const answer = await this.#sent(path, { ...options, headers, cache: "no-store" });
    const content = await answer.json().catch(() => null);
    if (options.signal?.aborted) throw new Problem("cancelled");
    if (content?.error) throw problemOf(answer, content.error);
    if (!answer.ok || content === null) throw new Problem("unexpected_answer", `HTTP ${answer.status}`, { status: answer.status });
    return content;
  }

  async #sent(path, options) {
    try {
      return await fetch(new URL(path, document.baseURI), options);
    } catch (error) {
      if (options.signal?.aborted) throw new Problem("cancelled");
      // a service that refuses an upload closes the connection, which looks the same as a service that is gone
      if (options.body && (await alive())) throw new Problem("upload_cut");
      throw new Problem("connection_lost", String(error.message));
    }
  }
}

async function alive() {
  try {
    const answer = await fetch(new URL("health/live", document.baseURI), { cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) });
    return answer.ok;
  } catch {
    return false;
  }
}

function problemOf(answer, error) {
  const seconds = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  return new Problem(error.code ?? "unexpected_answer", error.message ?? "", { status: answer.status, retryAfter });
}
