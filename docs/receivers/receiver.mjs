// A receiver of noticebus webhooks. Node 20 or newer, no packages.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECRET = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
if (SECRET.length < 24) throw new Error("WEBHOOK_SECRET is not the subscription's secret");
const PORT = Number(process.env.PORT ?? 9000);
const BODY_BYTES_MAX = 2 * 1024 * 1024;
const seen = new Set(); // keep ids in your database: it survives a restart, and this does not

// Check age and signature of the body as it came, before anything parses it.
function isGenuine(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const sentAt = headers["webhook-timestamp"] ?? "";
  if (!id || !/^\d+$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > 300) {
    return false;
  }
  const right = createHmac("sha256", SECRET).update(`${id}.${sentAt}.`).update(body).digest();
  // Several v1 signatures come while the secret is rotated: one that fits is enough.
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => {
    const [scheme, value] = one.split(",");
    const sent = Buffer.from(value ?? "", "base64");
    return scheme === "v1" && sent.length === right.length && timingSafeEqual(sent, right);
  });
}

async function handle(event) {
  console.log("handled", event.id, event.type); // your code here
}

function take(event) {
  if (seen.has(event.id)) return; // a repeat is answered like the first, and dropped
  seen.add(event.id); // store the event durably here, before the 204
  if (seen.size > 100_000) seen.delete(seen.values().next().value);
  setImmediate(() => handle(event).catch((error) => {
    console.error("failed", event.id, error); // the bus has its 204: keep it, tell somebody
    seen.delete(event.id); // a replay of a notice brings it once more, and then it is no repeat
  }));
}

function answer(request, response, body) {
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  const event = JSON.parse(body);
  if (event.type === "org.noticebus.subscription.verify.v1") {
    return response.writeHead(200, { "content-type": "text/plain" }).end(event.data.challenge);
  }
  take(event);
  return response.writeHead(204).end();
}

const server = createServer((request, response) => {
  if (request.method !== "POST") return response.writeHead(405).end();
  const chunks = [];
  let bytes = 0;
  request.on("data", (chunk) => {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
    else if (!response.headersSent) response.writeHead(413, { connection: "close" }).end();
  });
  request.on("end", () => {
    if (response.headersSent) return;
    try {
      answer(request, response, Buffer.concat(chunks));
    } catch {
      response.writeHead(400).end();
    }
  });
});
server.requestTimeout = 10_000; // a client that sends nothing holds no connection for longer
server.listen(PORT, "127.0.0.1");
