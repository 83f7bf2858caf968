// The server's API as this page uses it: OpenAI's, with DeepSeek's additions.
import { readEvents } from "./sse";

export interface Pricing {
  currency: string;
  input: number; // per million tokens
  cached_input: number;
  output: number;
}

export interface Model {
  id: string;
  pricing?: Partial<Pricing>;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  prompt_cache_hit_tokens?: number;
  completion_tokens_details?: { reasoning_tokens?: number };
}

export interface ChatRequest {
  model: string;
  messages: { role: string; content: string }[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  seed?: number;
  thinking?: { type: "enabled" | "disabled" };
}

export interface ChatDelta {
  content?: string;
  reasoning?: string;
  finish?: string;
  usage?: Usage;
}

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no answer from the server
    message: string,
  ) {
    super(message);
  }
}

export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

function errorText(body: unknown): string | undefined {
  const error = (body as { error?: unknown } | null)?.error;
  if (typeof error === "string") return error;
  const message = (error as { message?: unknown } | undefined)?.message;
  return typeof message === "string" ? message : undefined;
}

// A client with the key that the user gave, if the server wants one.
export class Client {
  constructor(
    readonly key: string,
    private readonly fetch: Fetch = (path, init) => globalThis.fetch(path, init),
  ) {}

  private async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    let response: Response;
    try {
      response = await this.fetch(path, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, "The server does not answer. Is minke serve still running?");
    }
    if (response.ok) return response;
    const body: unknown = await response.json().catch(() => null);
    const wait = response.headers.get("Retry-After");
    const hint = response.status === 429 && wait ? ` Try again in ${wait} s.` : "";
    throw new ApiError(response.status, (errorText(body) ?? `The server answered ${response.status}.`) + hint);
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await this.request(path, { signal })).json() as Promise<T>;
  }

  async models(): Promise<Model[]> {
    return (await this.get<{ data: Model[] }>("/v1/models")).data;
  }

  // Streams an answer; the generator ends with the answer, or throws if it breaks off.
  async *chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatDelta> {
    const response = await this.request("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    if (!response.body) throw new ApiError(0, "The server's answer has no body.");
    for await (const event of readEvents(response.body)) {
      if (event.data === "[DONE]") return;
      const delta = readChunk(event.data);
      if (delta) yield delta;
    }
    throw new ApiError(0, "The connection ended before the answer did.");
  }
}

interface Chunk {
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: Usage | null;
}

// What one event of a stream adds; undefined if nothing that shows.
export function readChunk(data: string): ChatDelta | undefined {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    throw new ApiError(0, "The server sent an event that is not JSON.");
  }
  const error = errorText(chunk);
  if (error) throw new ApiError(500, error);
  const choice = chunk.choices?.[0];
  const delta: ChatDelta = {};
  if (choice?.delta?.content) delta.content = choice.delta.content;
  if (choice?.delta?.reasoning_content) delta.reasoning = choice.delta.reasoning_content;
  if (choice?.finish_reason) delta.finish = choice.finish_reason;
  if (chunk.usage) delta.usage = chunk.usage;
  return Object.keys(delta).length > 0 ? delta : undefined;
}
