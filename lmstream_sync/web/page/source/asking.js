/*
 * Asking the server, by `fetch` and not by `EventSource`: that one connects again after every
 * end, a good one too, and each time the prompt would run, and be paid for, once more.
 */

/** Why there is no answer, in words for the person who asked. */
class Failure extends Error {
  constructor(title, text, code = "") {
    super(title);
    this.title = title;
    this.text = text;
    this.code = code;
  }
}

/**
 * Ask, and hand over each event as it comes.
 * @param {object} config see chat.js
 * @param {object} inputs the program's
 * @param {(event: object) => void} take
 * @param {AbortSignal} signal its abort closes the connection, and so ends the program
 * @throws {Failure} or what the abort gives
 */
async function ask(config, inputs, take, signal) {
  const { words } = config;
  let done = false;
  const events = new EventReader(({ data }) => {
    if (done) return;
    if (data === "[DONE]") {
      done = true;
      return;
    }
    const event = parsed(data);
    if (event?.error) throw new Failure(words.failed, event.error.message, event.error.type);
    if (event && typeof event === "object") take(event);
  });
  try {
    const response = await fetch(config.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream", ...config.headers },
      body: JSON.stringify(inputs, wellFormed),
      cache: "no-store",
      signal,
    });
    if (!response.ok) throw await refusal(response, words);
    if (!/^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "") || !response.body)
      throw new Failure(words.failed, words.unreadable, `HTTP ${response.status}`);
    const decoder = new TextDecoder(); // drops a byte order mark, and keeps a character that is cut in two
    const reader = response.body.getReader();
    for (;;) {
      const { value, done: over } = await reader.read();
      if (over) break;
      events.feed(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    if (done) return; // the answer is whole, whatever became of the connection
    if (error instanceof Failure || signal.aborted) throw error;
    if (error instanceof TypeError) throw new Failure(words.failed, words.offline);
    throw error;
  }
  if (!done) throw new Failure(words.failed, words.interrupted);
}

/** Half of a surrogate pair is no text, and refused by servers. */
function wellFormed(key, value) {
  return typeof value === "string" ? value.replace(/\p{Surrogate}/gu, "\ufffd") : value;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function refusal(response, words) {
  const told = parsed(await response.text())?.error ?? {};
  const message = typeof told.message === "string" ? told.message : "";
  const code = `${typeof told.type === "string" ? `${told.type}, ` : ""}HTTP ${response.status}`;
  if (response.status !== 429) return new Failure(words.failed, message || words.unreadable, code);
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  const wait = seconds > 0 ? words.wait.replace("{seconds}", String(seconds)) : message;
  return new Failure(words.busy, wait, code);
}
