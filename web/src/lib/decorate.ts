// What a rendered answer gets beyond its text: formulas set by KaTeX, and a bar with a copy button over code.
import katex from "katex";
import { copyText } from "./clipboard";

export function decorate(fragment: DocumentFragment): void {
  for (const span of fragment.querySelectorAll<HTMLElement>("span.math")) setFormula(span);
  for (const pre of fragment.querySelectorAll("pre")) addCopyBar(pre);
  for (const table of fragment.querySelectorAll("table")) {
    const scroller = document.createElement("div");
    scroller.className = "scroller";
    scroller.tabIndex = 0;
    table.replaceWith(scroller);
    scroller.append(table);
  }
}

// KaTeX builds elements, so the page's policy needs no inline styles; trust is off, so no link or image comes of it.
function setFormula(span: HTMLElement): void {
  const tex = span.textContent ?? "";
  const displayMode = span.classList.contains("display");
  if (displayMode) span.tabIndex = 0; // a wide one scrolls
  katex.render(tex, span, {
    displayMode,
    throwOnError: false,
    errorColor: "currentcolor",
    strict: "ignore",
    trust: false,
    maxExpand: 200,
    maxSize: 20,
  });
}

function addCopyBar(pre: HTMLPreElement): void {
  const code = pre.querySelector("code");
  const language = /language-([\w+#.-]+)/.exec(code?.className ?? "")?.[1] ?? "";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.title = "Copy this code";
  button.addEventListener("click", () => {
    void copyText(code?.textContent ?? "").then(() => {
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  });
  const bar = document.createElement("div");
  bar.className = "code-bar";
  const name = document.createElement("span");
  name.textContent = language;
  bar.append(name, button);
  const figure = document.createElement("div");
  figure.className = "code";
  pre.replaceWith(figure);
  pre.tabIndex = 0;
  figure.append(bar, pre);
}
