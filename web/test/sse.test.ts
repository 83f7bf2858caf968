import { describe, expect, it } from "vitest";
import { readEvents, SseParser } from "../src/lib/sse";

const data = (events: { data: string }[]) => events.map((e) => e.data);

describe("SseParser", () => {
  it("gives the same events however the text is cut", () => {
    const text = "data: a\n\n: keep-alive\n\ndata: b\r\ndata: c\r\n\r\nevent: end\rdata:d\r\r\n";
    const whole = new SseParser().push(text);
    expect(whole).toEqual([
      { event: "message", data: "a" },
      { event: "message", data: "b\nc" },
      { event: "end", data: "d" },
    ]);
    for (let size = 1; size < text.length; ++size) {
      const parser = new SseParser();
      const events = [];
      for (let i = 0; i < text.length; i += size) events.push(...parser.push(text.slice(i, i + size)));
      expect(events).toEqual(whole);
    }
  });

  it("drops what is not finished and what carries no data", () => {
    expect(new SseParser().push("event: x\n\ndata: unfinished\n")).toEqual([]);
  });

  it("keeps all spaces but the first, and ignores unknown fields and a byte order mark", () => {
    expect(data(new SseParser().push("\uFEFFdata:  two\nid: 7\nretry\n\n"))).toEqual([" two"]);
    expect(data(new SseParser().push("data\n\n"))).toEqual([""]);
  });
});

describe("readEvents", () => {
  it("joins characters that were cut between two pieces", async () => {
    const bytes = new TextEncoder().encode("data: 鲸\n\n");
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const events = [];
    for await (const event of readEvents(body)) events.push(event);
    expect(data(events)).toEqual(["鲸"]);
  });
});
