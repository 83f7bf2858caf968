// Markdown that a model wrote to a piece of document that is safe to show: nothing in it runs, and nothing in
// it is loaded from anywhere.
import DOMPurify from "dompurify";
import { Marked, type Token, type TokenizerAndRendererExtension, type Tokens } from "marked";
import { blockFormula, inlineFormula, type Formula } from "./maths";

export function escapeHtml(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (c) => names[c] ?? c);
}

function mathExtension(
  name: string,
  level: "block" | "inline",
  find: (source: string) => Formula | undefined,
  start: RegExp,
): TokenizerAndRendererExtension {
  return {
    name,
    level,
    start: (source) => {
      const index = source.search(start);
      return index < 0 ? undefined : index;
    },
    tokenizer: (source) => {
      const formula = find(source);
      return formula && { type: name, ...formula };
    },
    renderer: (token) => `<span class="math${token.display ? " display" : ""}">${escapeHtml(token.tex)}</span>`,
  };
}

// Tags without attributes that Markdown has no sign for; any other HTML shows as the text that it is.
const harmlessTag = /^<\/?(br|sub|sup|kbd|u|b|i|em|strong|s|mark)\s*\/?>$/i;

const marked = new Marked({
  gfm: true,
  extensions: [
    mathExtension("mathBlock", "block", blockFormula, /^ {0,3}(\\\[|\$\$)/m),
    mathExtension("mathInline", "inline", inlineFormula, /\\\(|\\\[|\$\$/),
  ],
  renderer: {
    html: ({ raw, text }: Tokens.HTML | Tokens.Tag) =>
      harmlessTag.test(text.trim()) ? text : escapeHtml(raw).replace(/\n(?=.)/g, "<br>"),
    image: ({ href, text }: Tokens.Image) =>
      `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a> (image, not loaded)`,
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? "☑ " : "☐ "),
  },
});

const allowedTags = (
  "p br hr h1 h2 h3 h4 h5 h6 strong em del b i u s mark sub sup kbd code pre blockquote ul ol li a span " +
  "table thead tbody tr th td"
).split(" ");

function sanitize(html: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: allowedTags,
    ALLOWED_ATTR: ["href", "title", "class", "align", "start"],
    ADD_URI_SAFE_ATTR: ["align", "start"], // these hold no addresses
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a[href]")) {
    link.setAttribute("target", "_blank");
    link.setAttribute("rel", "noopener noreferrer nofollow");
  }
  return fragment;
}

// The top-level blocks of a text; while a text grows, all but the last ones stay equal.
export function splitBlocks(text: string): Token[] {
  return marked.lexer(text).filter((token) => token.type !== "space" && token.type !== "def");
}

export function renderBlock(token: Token): DocumentFragment {
  return sanitize(marked.parser([token]));
}

export function renderMarkdown(text: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  for (const token of splitBlocks(text)) fragment.append(renderBlock(token));
  return fragment;
}
