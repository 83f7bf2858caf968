// Conversations as values: each change makes a new one.
import type { ChatRequest, Usage } from "./api";
import type { Settings } from "./settings";

export interface Message {
  id: string;
  role: "user" | "assistant";
  content: string;
  reasoning?: string;
  model?: string;
  usage?: Usage;
  finish?: string; // why the answer ended: "stop", "length", "stopped" by the user
  error?: string;
  thinkingSeconds?: number;
  answerSeconds?: number; // from the first token to the last
}

export interface Conversation {
  id: string;
  title: string;
  created: string; // ISO 8601
  updated: string;
  system: string;
  messages: Message[];
}

// crypto.randomUUID exists only on secure origins; a page from another machine over HTTP has none.
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}

export function newConversation(system: string): Conversation {
  const now = new Date().toISOString();
  return { id: newId(), title: "", created: now, updated: now, system, messages: [] };
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}

function changed(conversation: Conversation, messages: Message[]): Conversation {
  const first = messages.find((m) => m.role === "user");
  const title = conversation.title || titleOf(first?.content ?? "");
  return { ...conversation, title, messages, updated: new Date().toISOString() };
}

export function append(conversation: Conversation, message: Message): Conversation {
  return changed(conversation, [...conversation.messages, message]);
}

export function replaceMessage(conversation: Conversation, message: Message): Conversation {
  return changed(
    conversation,
    conversation.messages.map((m) => (m.id === message.id ? message : m)),
  );
}

// The conversation before this message.
export function before(conversation: Conversation, id: string): Conversation {
  const index = conversation.messages.findIndex((m) => m.id === id);
  return index < 0 ? conversation : changed(conversation, conversation.messages.slice(0, index));
}

// A user's message in other words; what followed it goes.
export function edit(conversation: Conversation, id: string, content: string): Conversation {
  return append(before(conversation, id), { id: newId(), role: "user", content });
}

// What to ask the server. Earlier reasoning is not sent back, as DeepSeek's API asks.
export function toRequest(conversation: Conversation, model: string, settings: Settings): ChatRequest {
  const messages: ChatRequest["messages"] = [];
  if (conversation.system.trim()) messages.push({ role: "system", content: conversation.system });
  for (const { role, content, error } of conversation.messages)
    if (content || !error) messages.push({ role, content });
  const request: ChatRequest = { model, messages };
  if (settings.temperature !== undefined) request.temperature = settings.temperature;
  if (settings.topP !== undefined) request.top_p = settings.topP;
  if (settings.maxTokens !== undefined) request.max_tokens = settings.maxTokens;
  if (settings.seed !== undefined) request.seed = settings.seed;
  if (settings.thinking !== "default")
    request.thinking = { type: settings.thinking === "on" ? "enabled" : "disabled" };
  return request;
}

export function usages(conversation: Conversation): Usage[] {
  return conversation.messages.flatMap((m) => (m.usage ? [m.usage] : []));
}
