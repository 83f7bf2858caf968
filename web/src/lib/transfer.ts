// Conversations to a JSON file and back.
import type { Conversation, Message } from "./conversation";

const format = "minke-conversations";

export function exportConversations(conversations: Conversation[]): string {
  return JSON.stringify({ format, version: 1, conversations }, null, 1);
}

const isText = (value: unknown): value is string => typeof value === "string";

function isMessage(value: unknown): value is Message {
  const m = value as Partial<Message> | null;
  return isText(m?.id) && isText(m.content) && (m.role === "user" || m.role === "assistant");
}

function isConversation(value: unknown): value is Conversation {
  const c = value as Partial<Conversation> | null;
  return (
    [c?.id, c?.title, c?.created, c?.updated, c?.system].every(isText) &&
    Array.isArray(c?.messages) &&
    c.messages.every(isMessage)
  );
}

export function importConversations(text: string): Conversation[] {
  let file: { format?: unknown; version?: unknown; conversations?: unknown } | null;
  try {
    file = JSON.parse(text) as typeof file;
  } catch {
    throw new Error("This file is not JSON.");
  }
  if (file?.format !== format || file.version !== 1 || !Array.isArray(file.conversations))
    throw new Error("This file is not an export of Minke's conversations.");
  const bad = file.conversations.findIndex((c) => !isConversation(c));
  if (bad >= 0) throw new Error(`Conversation ${bad + 1} of this file lacks what a conversation needs.`);
  return file.conversations as Conversation[];
}

// Both lists together, newest first; of two versions of one conversation the newer.
export function merge(mine: Conversation[], theirs: Conversation[]): Conversation[] {
  const byId = new Map(mine.map((c) => [c.id, c]));
  for (const c of theirs) {
    const known = byId.get(c.id);
    if (!known || known.updated < c.updated) byId.set(c.id, c);
  }
  return [...byId.values()].sort((a, b) => b.updated.localeCompare(a.updated));
}
