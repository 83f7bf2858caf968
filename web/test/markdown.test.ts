// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { renderMarkdown, splitBlocks } from "../src/lib/markdown";

function render(markdown: string): HTMLElement {
  const box = document.createElement("div");
  box.append(renderMarkdown(markdown));
  return box;
}

describe("sanitising", () => {
  it.each([
    "<script>alert(1)</script>",
    "text <script>alert(1)</script> text",
    "<img src=x onerror=alert(1)>",
    "<iframe src='https://example.org'></iframe>",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<style>body{display:none}</style>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    '<a href="javascript:alert(1)">x</a>',
    "<form action=https://example.org><input></form>",
  ])("shows %s as text", (html) => {
    const box = render(html);
    expect(box.querySelector("script,img,iframe,svg,style,math,form,input,b,a")).toBeNull();
    expect(box.textContent?.trim()).toBe(html);
  });

  it.each(["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#10;script:alert(1)", "data:text/html,x", "vbscript:x",
    "file:///etc/passwd", "//example.org", "/local"])(
    "makes no link of %s",
    (address) => expect(render(`[text](<${address}>)`).querySelector("a[href]")).toBeNull(),
  );

  it("loads no image, and shows its address as a link", () => {
    const box = render('![a "chart"](https://example.org/x.png)');
    expect(box.querySelector("img")).toBeNull();
    expect(box.querySelector("a")?.href).toBe("https://example.org/x.png");
    expect(box.textContent).toContain('a "chart"');
  });

  it("opens links elsewhere, without telling where from", () => {
    const link = render("[text](https://example.org)").querySelector("a");
    expect(link?.target).toBe("_blank");
    expect(link?.rel).toContain("noreferrer");
  });

  it("gives an answer no classes, ids or styles of its own", () => {
    const box = render('<b onclick=alert(1)>x</b> <p id="app" class="composer" style="position:fixed">x</p>\n\n```a" onclick="b\ncode\n```');
    expect(box.querySelector("[id],[style],[onclick],.composer")).toBeNull();
  });
});

describe("Markdown", () => {
  it("keeps the language of code and its text as it is", () => {
    const code = render("```c++\nif (a < b && c > d) {}\n```").querySelector("pre code");
    expect(code?.className).toBe("language-c++");
    expect(code?.textContent).toBe("if (a < b && c > d) {}\n");
  });

  it("keeps a table's alignment and a list's first number", () => {
    expect(render("|n|\n|-:|\n|1|").querySelector("td")?.align).toBe("right");
    expect(render("3. three").querySelector("ol")?.start).toBe(3);
  });

  it("lets harmless tags through where Markdown has no sign", () => {
    expect(render("H<sub>2</sub>O<br>x").querySelectorAll("sub, br")).toHaveLength(2);
  });

  it("keeps finished blocks equal while the text grows", () => {
    const text = "# Title\n\nfirst *paragraph*\n\n```js\nlet x;\n```\n\n- a\n- b\n\nlast";
    const final = splitBlocks(text).map((t) => t.raw);
    const before = splitBlocks(text.slice(0, -2)).map((t) => t.raw);
    expect(before.slice(0, -1)).toEqual(final.slice(0, -1));
  });
});
