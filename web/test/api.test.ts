import { describe, expect, it } from "vitest";
import { ApiError, Client, readChunk, type ChatDelta } from "../src/lib/api";

function serverSaying(body: string, init: ResponseInit = {}): [Client, { path: string; init?: RequestInit }[]] {
  const calls: { path: string; init?: RequestInit }[] = [];
  const client = new Client("secret", (path, request) => {
    calls.push({ path, init: request });
    return Promise.resolve(new Response(body, init));
  });
  return [client, calls];
}

async function collect(client: Client): Promise<ChatDelta[]> {
  const deltas: ChatDelta[] = [];
  const request = { model: "m", messages: [] };
  for await (const delta of client.chat(request, new AbortController().signal)) deltas.push(delta);
  return deltas;
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ delta, finish_reason: finish }] })}\n\n`;

describe("a streamed answer", () => {
  it("is reasoning, content, the reason of its end, and usage", async () => {
    const usage = { prompt_tokens: 9, completion_tokens: 2, prompt_cache_hit_tokens: 4 };
    const [client, calls] = serverSaying(
      chunk({ role: "assistant", content: "" }) + ": queued\n\n" + chunk({ reasoning_content: "hm" }) +
        chunk({ content: "yes" }) + chunk({}, "stop") + `data: ${JSON.stringify({ choices: [], usage })}\n\n` +
        "data: [DONE]\n\n",
    );
    expect(await collect(client)).toEqual([{ reasoning: "hm" }, { content: "yes" }, { finish: "stop" }, { usage }]);
    expect(new Headers(calls[0]?.init?.headers).get("Authorization")).toBe("Bearer secret");
    expect(JSON.parse(String(calls[0]?.init?.body))).toMatchObject({
      stream: true, stream_options: { include_usage: true },
    });
  });

  it("that breaks off is an error", async () => {
    await expect(collect(serverSaying(chunk({ content: "ye" }))[0])).rejects.toThrow("ended before");
    await expect(collect(serverSaying("data: {}x\n\n")[0])).rejects.toThrow("not JSON");
    expect(() => readChunk('{"error":{"message":"out of pages"}}')).toThrow("out of pages");
  });
});

describe("a refusal", () => {
  it("says what the server said", async () => {
    const [client] = serverSaying('{"error":{"message":"The key is wrong."}}', { status: 401 });
    const error = await client.models().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 401, message: "The key is wrong." });
  });

  it("says when to try again", async () => {
    const headers = { "Retry-After": "3" };
    await expect(serverSaying("busy", { status: 429, headers })[0].models()).rejects.toThrow("Try again in 3 s");
  });

  it("of the connection is told", async () => {
    const client = new Client("", () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(client.models()).rejects.toThrow("still running");
  });
});
