// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { renderMarkdown } from "../src/lib/markdown";
import { blockFormula, inlineFormula } from "../src/lib/maths";

function formulas(markdown: string): [string | null, boolean][] {
  return [...renderMarkdown(markdown).querySelectorAll("span.math")].map((e) => [
    e.textContent,
    e.classList.contains("display"),
  ]);
}

describe("formulas", () => {
  it("are found by their delimiters", () => {
    expect(inlineFormula("\\(a+b\\) rest")).toEqual({ raw: "\\(a+b\\)", tex: "a+b", display: false });
    expect(inlineFormula("\\[x\n+y\\]")?.display).toBe(true);
    expect(blockFormula("$$\na\n$$\nrest")).toEqual({ raw: "$$\na\n$$\n", tex: "a", display: true });
    expect(inlineFormula("\\(unfinished")).toBeUndefined();
    expect(inlineFormula("\\( \\)")).toBeUndefined();
    expect(blockFormula("$5 and $$")).toBeUndefined();
  });

  it("keep their signs, which mean something else in Markdown", () => {
    const tex = "a_1 * b_2 * \\{c < d\\}";
    expect(formulas(`so \\(${tex}\\) and *this*`)).toEqual([[tex, false]]);
    expect(formulas("\\[\n\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}\n\\]")).toEqual([
      ["\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}", true],
    ]);
    expect(formulas("text before\n$$x^2$$\nand after")).toEqual([["x^2", true]]);
  });

  it("stand in lists and tables, but not in code or among dollars", () => {
    expect(formulas("- \\(a\\)\n- \\(b\\)")).toHaveLength(2);
    expect(formulas("|x|\n|-|\n|\\(a\\)|")).toEqual([["a", false]]);
    expect(formulas("`\\(a\\)` and\n\n```\n\\[b\\]\n```")).toEqual([]);
    expect(formulas("it costs $5 or $6")).toEqual([]);
  });
});
