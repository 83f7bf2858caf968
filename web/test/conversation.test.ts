// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { append, before, edit, newConversation, toRequest, type Conversation } from "../src/lib/conversation";
import { bill, effectivePricing, formatMoney } from "../src/lib/cost";
import { defaultSettings } from "../src/lib/settings";
import { exportConversations, importConversations, merge } from "../src/lib/transfer";

function talk(): Conversation {
  let c = newConversation("Be brief.");
  c = append(c, { id: "1", role: "user", content: "first question" });
  c = append(c, { id: "2", role: "assistant", content: "answer", reasoning: "thoughts" });
  return append(c, { id: "3", role: "user", content: "second question" });
}

describe("a conversation", () => {
  it("takes its title from the first question", () => expect(talk().title).toBe("first question"));

  it("goes on from an edited question", () => {
    const edited = edit(talk(), "1", "other question");
    expect(edited.messages.map((m) => m.content)).toEqual(["other question"]);
    expect(before(talk(), "2").messages.map((m) => m.id)).toEqual(["1"]);
  });

  it("becomes a request without earlier reasoning, and with what was set only", () => {
    expect(toRequest(talk(), "m", defaultSettings)).toEqual({
      model: "m",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "first question" },
        { role: "assistant", content: "answer" },
        { role: "user", content: "second question" },
      ],
    });
    const settings = { ...defaultSettings, temperature: 0, seed: 7, topP: 0.9, maxTokens: 5, thinking: "off" as const };
    expect(toRequest(talk(), "m", settings)).toMatchObject({
      temperature: 0, seed: 7, top_p: 0.9, max_tokens: 5, thinking: { type: "disabled" },
    });
  });
});

describe("a file of conversations", () => {
  it("gives back what was written", () => {
    const c = talk();
    expect(importConversations(exportConversations([c]))).toEqual([c]);
  });

  it.each(["", "[]", "null", '{"format":"other"}', '{"format":"minke-conversations","version":1,"conversations":[{}]}'])(
    "that is %s is refused",
    (text) => expect(() => importConversations(text)).toThrow(/^This file|^Conversation 1/),
  );

  it("adds to those that are there; the newer version wins", () => {
    const old = { ...talk(), id: "a", updated: "2026-01-01" };
    const renewed = { ...old, title: "new", updated: "2026-01-02" };
    const other = { ...talk(), id: "b", updated: "2026-01-03" };
    expect(merge([old], [renewed, other])).toEqual([other, renewed]);
    expect(merge([renewed], [old])).toEqual([renewed]);
  });
});

describe("the bill", () => {
  const usage = { prompt_tokens: 1000, completion_tokens: 200, prompt_cache_hit_tokens: 400 };

  it("charges cached tokens by their own price", () => {
    const prices = { currency: "USD", input: 1, cached_input: 0.1, output: 2 };
    const sum = bill([usage, { prompt_tokens: 10, completion_tokens: 0 }], prices);
    expect(sum).toMatchObject({ input: 610, cached: 400, output: 200 });
    expect(sum.cost).toBeCloseTo((610 + 40 + 400) / 1e6, 12);
  });

  it("takes the user's prices before the server's", () => {
    expect(effectivePricing({ input: 3, output: undefined }, { input: 1, output: 2 })).toEqual({
      currency: "USD", input: 3, cached_input: 0, output: 2,
    });
  });

  it("shows small sums with two digits that count", () => {
    expect(formatMoney(0.0001234, "USD")).toBe("0.00012 USD");
    expect(formatMoney(12.345, "EUR")).toBe("12.35 EUR");
    expect(formatMoney(0, "USD")).toBe("0.00 USD");
  });
});
