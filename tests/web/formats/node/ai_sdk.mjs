// Reads a UI message stream with the AI SDK, as `useChat` does, and prints what came of it.
//   node ai_sdk.mjs ai|ai-strict URL     one response, over HTTP
//   node ai_sdk.mjs ai|ai-strict < JSON  bodies in a list: each chunk of each must fit the schema

const { DefaultChatTransport, parseJsonEventStream, readUIMessageStream, uiMessageChunkSchema } = await import(
  process.argv[2]
);
const url = process.argv[3];

async function message(chunks, onError) {
  let last;
  for await (const each of readUIMessageStream({ stream: chunks, onError })) last = structuredClone(each);
  return last;
}

async function read(response) {
  const chunks = [];
  const errors = [];
  const parsed = await new DefaultChatTransport({ api: url, fetch: async () => response }).sendMessages({
    trigger: "submit-message",
    chatId: "1",
    messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "?" }] }],
  });
  const noted = parsed.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        chunks.push(chunk);
        controller.enqueue(chunk);
      },
    }),
  );
  const last = await message(noted, (error) => errors.push(String(error.message ?? error)));
  return { chunks, errors, message: last };
}

async function invalid(body) {
  const stream = new Response(body).body;
  for await (const each of parseJsonEventStream({ stream, schema: uiMessageChunkSchema })) {
    if (!each.success) return String(each.error.message).slice(0, 500);
  }
  return null;
}

if (url) {
  const response = await fetch(url, { method: "POST" });
  const header = response.headers.get("x-vercel-ai-ui-message-stream");
  console.log(JSON.stringify({ header, status: response.status, ...(await read(response)) }));
} else {
  let input = "";
  for await (const piece of process.stdin.setEncoding("utf8")) input += piece;
  console.log(JSON.stringify(await Promise.all(JSON.parse(input).map(invalid))));
}
