// A function like `fetch` over a Unix socket, for Node: its own `fetch` has none. Bodies are Uint8Array.

import { request } from "node:http";

export function unixFetch(socketPath) {
  return (url, { method = "GET", headers = {}, body, signal } = {}) =>
    new Promise((resolve, reject) => {
      const length = body ? { "Content-Length": body.length } : {};
      const sent = { socketPath, method, path: url.pathname + url.search, signal };
      const asking = request({ ...sent, headers: { ...headers, ...length, Host: "localhost" } }, (reply) => {
        const parts = [];
        reply.on("data", (part) => parts.push(part));
        reply.on("error", reject);
        reply.on("end", () => {
          const text = Buffer.concat(parts).toString("utf8");
          const get = (name) => reply.headers[name.toLowerCase()] ?? null;
          resolve({ status: reply.statusCode, headers: { get }, text: async () => text });
        });
      });
      asking.on("error", reject);
      asking.end(body);
    });
}
