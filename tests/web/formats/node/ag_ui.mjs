// Runs an agent with AG-UI's client, which checks every event and their order, and prints what came of it.
//   node ag_ui.mjs URL     one run, over HTTP
//   node ag_ui.mjs < JSON  bodies in a list: each event of each must pass the checks

import { HttpAgent } from "@ag-ui/client";

const url = process.argv[2];

async function run(fetch) {
  const events = [];
  const agent = new HttpAgent({ url: url ?? "http://127.0.0.1/", threadId: "conversation", ...(fetch && { fetch }) });
  agent.addMessage({ id: "1", role: "user", content: "?" });
  let result, error;
  try {
    ({ result } = await agent.runAgent({ runId: "run" }, { onEvent: ({ event }) => void events.push(event) }));
  } catch (thrown) {
    error = String(thrown.message ?? thrown);
  }
  return { events, result, error, messages: agent.messages };
}

if (url) {
  console.log(JSON.stringify(await run()));
} else {
  let input = "";
  for await (const piece of process.stdin.setEncoding("utf8")) input += piece;
  const headers = { "Content-Type": "text/event-stream" };
  const results = [];
  for (const body of JSON.parse(input)) {
    const { error } = await run(async () => new Response(body, { headers }));
    results.push(error ?? null);
  }
  console.log(JSON.stringify(results));
}
