import { describe, expect, it } from "vitest";
import { addLines, align, curve, expertLoads, metricsOf, noLines } from "../src/lib/metrics";

const lines = [
  { step: 25, tokens: 100, loss: 6.5, mtp_loss: [6.6] },
  { step: 30, tokens: 120, bits_per_byte: 2.7 },
  { step: 50, tokens: 200, loss: 5.5, mtp_loss: [5.6], bits_per_byte: 2.7 },
  { step: 75, tokens: 300, loss: Infinity, bits_per_byte: 2.5 },
];

describe("the lines of a run", () => {
  it("grow with what arrives, and what is no line is left out", () => {
    const first = addLines(noLines, lines.slice(0, 2), 50);
    const all = addLines(first, [...lines.slice(2), null, "text", { loss: 1 }], 99);
    expect(all).toEqual({ next: 99, lines });
    expect(addLines(all, [], 99).lines).toBe(all.lines);
  });

  it("give way to those of a resumed run", () => {
    const known = addLines(noLines, lines, 99);
    expect(addLines(known, [{ step: 50, loss: 5 }], 120).lines.map((l) => l.step)).toEqual([25, 30, 50, 50]);
    expect(addLines(known, [], 40)).toEqual(noLines);
  });
});

describe("curves", () => {
  it("have a point for each measurement", () => {
    expect(curve(lines, "loss", "step")).toEqual({ x: [25, 50], y: [6.5, 5.5] });
    expect(curve(lines, "mtp_loss 1", "tokens")).toEqual({ x: [100, 200], y: [6.6, 5.6] });
    expect(curve(lines, "bits_per_byte", "step")).toEqual({ x: [30, 75], y: [2.7, 2.5] });
  });

  it("share one axis", () => {
    const aligned = align([
      { x: [1, 3], y: [10, 30] },
      { x: [2, 3], y: [200, 300] },
    ]);
    expect(aligned).toEqual([[1, 2, 3], [10, null, 30], [null, 200, 300]]);
    expect(align([])).toEqual([[]]);
  });

  it("are offered in order, the known ones first", () => {
    const names = metricsOf([lines, [{ step: 1, reward: 0.5, gradient_norm: 1, cost: 0.1 }]]).map((m) => m.name);
    expect(names).toEqual(["loss", "bits_per_byte", "reward", "cost", "gradient_norm", "mtp_loss 1"]);
  });
});

describe("expert loads", () => {
  it("are relative to an equal share", () => {
    const load = { step: 5, expert_load: [[1, 3], [0, 0]] };
    expect(expertLoads([{ step: 4 }, load])).toEqual([{ step: 5, layers: [[0.5, 1.5], [0, 0]] }]);
  });

  it("survive what they do not expect", () => {
    expect(expertLoads([{ step: 1, expert_load: "x" }, { step: 2, expert_load: [] }])).toEqual([]);
    expect(expertLoads([{ step: 1, expert_load: [null, ["a", 2]] }])).toEqual([{ step: 1, layers: [[], [0, 2]] }]);
  });
});
