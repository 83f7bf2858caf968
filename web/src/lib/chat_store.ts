// The conversations on this page and the answer that is being written. Views subscribe; methods change.
import { ApiError, type ChatDelta, type Client } from "./api";
import {
  append, before, edit, newConversation, newId, replaceMessage, toRequest, type Conversation, type Message,
} from "./conversation";
import type { Settings } from "./settings";
import * as storage from "./store";
import { merge } from "./transfer";

export interface ChatState {
  conversations: Conversation[]; // newest first
  current: Conversation;
  writing: boolean;
  thinking: boolean; // the answer has begun with reasoning and has no content yet
  notice: string; // what a screen reader should hear
  problem: string; // what went wrong outside an answer
}

export class ChatStore {
  state: ChatState;
  onUnauthorized: () => void = () => undefined;
  private listeners = new Set<() => void>();
  private abort: AbortController | undefined;

  constructor(system: string) {
    this.state = {
      conversations: [], current: newConversation(system), writing: false, thinking: false, notice: "", problem: "",
    };
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private set(change: Partial<ChatState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  async load(): Promise<void> {
    await this.guard(async () => {
      const stored = await storage.loadConversations();
      // What was asked or imported meanwhile stays.
      this.set({ conversations: merge(stored, this.state.conversations) });
    });
  }

  private async guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.set({ problem: `The browser's storage failed: ${String(error)}` });
    }
  }

  dismiss = (): void => this.set({ problem: "" });

  open(id: string): void {
    const found = this.state.conversations.find((c) => c.id === id);
    if (!found) return;
    this.stop();
    this.set({ current: found, notice: `Conversation ${found.title}` });
  }

  startNew(system: string): void {
    this.stop();
    this.set({ current: newConversation(system), notice: "New conversation" });
  }

  setSystem(system: string): void {
    this.update({ ...this.state.current, system });
    if (this.state.current.messages.length > 0) void this.save(this.state.current);
  }

  async remove(id: string): Promise<void> {
    if (id === this.state.current.id) this.startNew(this.state.current.system);
    this.set({ conversations: this.state.conversations.filter((c) => c.id !== id), notice: "Conversation deleted" });
    await this.guard(() => storage.deleteConversation(id));
  }

  async import(theirs: Conversation[]): Promise<void> {
    const conversations = merge(this.state.conversations, theirs);
    this.set({ conversations, notice: `${theirs.length} conversations read` });
    await this.guard(async () => {
      for (const conversation of conversations) await storage.saveConversation(conversation);
    });
  }

  send(text: string, client: Client, model: string, settings: Settings): Promise<void> {
    const asked = append(this.state.current, { id: newId(), role: "user", content: text });
    return this.answer(asked, client, model, settings);
  }

  edit(id: string, text: string, client: Client, model: string, settings: Settings): Promise<void> {
    return this.answer(edit(this.state.current, id, text), client, model, settings);
  }

  regenerate(id: string, client: Client, model: string, settings: Settings): Promise<void> {
    return this.answer(before(this.state.current, id), client, model, settings);
  }

  stop = (): void => this.abort?.abort();

  private update(conversation: Conversation): void {
    const { conversations, current } = this.state;
    this.set({
      conversations: conversations.map((c) => (c.id === conversation.id ? conversation : c)),
      current: current.id === conversation.id ? conversation : current,
    });
  }

  private save(conversation: Conversation): Promise<void> {
    return this.guard(() => storage.saveConversation(conversation));
  }

  // Asks for an answer to what the conversation ends with, and writes it into the conversation as it comes.
  private async answer(asked: Conversation, client: Client, model: string, settings: Settings): Promise<void> {
    this.stop();
    const abort = new AbortController();
    this.abort = abort;
    const answer = new AnswerWriter({ id: newId(), role: "assistant", content: "", model });
    const others = this.state.conversations.filter((c) => c.id !== asked.id);
    let conversation = append(asked, answer.message);
    this.set({ conversations: [conversation, ...others], current: conversation, writing: true, thinking: false });
    this.set({ notice: "The answer begins" });

    const show = (): void => {
      conversation = replaceMessage(conversation, answer.message);
      this.update(conversation);
      if (this.abort === abort) this.set({ thinking: answer.isThinking() });
    };
    let frame = 0;
    try {
      for await (const delta of client.chat(toRequest(asked, model, settings), abort.signal)) {
        answer.add(delta);
        frame ||= requestAnimationFrame(() => ((frame = 0), show()));
      }
    } catch (error) {
      answer.fail(error, abort.signal.aborted);
      if (error instanceof ApiError && error.status === 401) this.onUnauthorized();
    }
    cancelAnimationFrame(frame);
    answer.end();
    show();
    if (this.abort === abort) this.set({ writing: false, thinking: false, notice: answer.spoken() });
    if (this.state.conversations.some((c) => c.id === conversation.id)) await this.save(conversation);
  }
}

// One answer as it grows, with its times.
class AnswerWriter {
  private readonly asked = performance.now();
  private first = 0; // when its first token came
  private answered = 0; // when its first token after the reasoning came

  constructor(public message: Message) {}

  isThinking = (): boolean => Boolean(this.message.reasoning) && !this.message.content;

  add(delta: ChatDelta): void {
    const now = performance.now();
    this.first ||= now;
    const m = { ...this.message };
    if (delta.reasoning) m.reasoning = (m.reasoning ?? "") + delta.reasoning;
    if (delta.content) {
      if (m.reasoning && !this.answered) m.thinkingSeconds = (now - this.asked) / 1000;
      this.answered ||= now;
      m.content += delta.content;
    }
    if (delta.finish) m.finish = delta.finish;
    if (delta.usage) m.usage = delta.usage;
    this.message = m;
  }

  fail(error: unknown, stopped: boolean): void {
    this.message = stopped
      ? { ...this.message, finish: "stopped" }
      : { ...this.message, error: error instanceof Error ? error.message : String(error) };
  }

  end(): void {
    const now = performance.now();
    if (this.first) this.message = { ...this.message, answerSeconds: (now - this.first) / 1000 };
    if (this.isThinking()) this.message = { ...this.message, thinkingSeconds: (now - this.asked) / 1000 };
  }

  spoken(): string {
    if (this.message.error) return `The answer failed: ${this.message.error}`;
    const words = this.message.content.split(/\s+/).filter(Boolean).length;
    return `The answer is complete, ${words} words`;
  }
}
