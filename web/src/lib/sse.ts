// Server-sent events out of the pieces in which they arrive (WHATWG HTML, section 9.2.6).

export interface SseEvent {
  event: string; // "message" unless the server names another
  data: string;
}

export class SseParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private first = true;

  // Takes the next piece of text; returns the events that it completes.
  push(piece: string): SseEvent[] {
    if (this.first && piece !== "") {
      piece = piece.replace(/^\uFEFF/, "");
      this.first = false;
    }
    const text = this.rest + piece;
    const events: SseEvent[] = [];
    let start = 0;
    for (;;) {
      const end = text.slice(start).search(/[\r\n]/);
      if (end < 0) break;
      const stop = start + end;
      // A carriage return at the very end may be the first half of a line break.
      if (text[stop] === "\r" && stop + 1 === text.length) break;
      const event = this.line(text.slice(start, stop));
      if (event) events.push(event);
      start = stop + (text[stop] === "\r" && text[stop + 1] === "\n" ? 2 : 1);
    }
    this.rest = text.slice(start);
    return events;
  }

  private line(line: string): SseEvent | undefined {
    if (line === "") return this.dispatch();
    if (line.startsWith(":")) return undefined; // a comment, which keeps the connection alive
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    if (field === "event") this.event = value;
    return undefined;
  }

  private dispatch(): SseEvent | undefined {
    const event = { event: this.event || "message", data: this.data.join("\n") };
    const filled = this.data.length > 0;
    this.event = "";
    this.data = [];
    return filled ? event : undefined;
  }
}

// The events of a response's body, until it ends.
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<SseEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
