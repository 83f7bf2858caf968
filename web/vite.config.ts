import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

// KaTeX names each font in three formats; every browser that runs this page reads woff2.
function woff2Only(): Plugin {
  return {
    name: "minke-woff2-only",
    enforce: "pre",
    transform(code, id) {
      if (!/katex.*\.css/.test(id)) return;
      return code.replace(/,url\([^)]*\.(woff|ttf)\) format\("(woff|truetype)"\)/g, "");
    },
  };
}

// What the page may do: its own script (named by its hash), its own style, requests to its own server.
function policy(script: string, style: string): string {
  const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  return [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "connect-src 'self'",
    "img-src data:",
    "font-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

// Within a script element these would begin a comment or end the element; in strings and patterns \x3C is the same.
const escapeScript = (code: string) => code.replace(/<(?=!--|\/?script)/gi, "\\x3C");

// The licences of what the page contains, which its copies must carry.
function licences(): string {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Record<string, string> };
  const texts = Object.keys(dependencies).map((name) => {
    const folder = `node_modules/${name}`;
    const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
    if (!file) throw new Error(`${name} has no licence`);
    return `${name}:\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}`;
  });
  return `<!--\n${texts.join("\n\n").replace(/--!?>/g, "")}\n-->\n`;
}

// Puts the script and the style into index.html, so that one file is the whole page.
function oneFile(): Plugin {
  return {
    name: "minke-one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      let script = "";
      let style = "";
      for (const [name, file] of Object.entries(bundle)) {
        if (file.type === "chunk") script += escapeScript(file.code.trim());
        else if (name.endsWith(".css")) style += String(file.source).trim();
        else continue;
        delete bundle[name];
      }
      const page = bundle["index.html"];
      if (page?.type !== "asset") throw new Error("vite made no index.html");
      const head = `<meta http-equiv="Content-Security-Policy" content="${policy(script, style)}">`;
      page.source = String(page.source)
        .replace(/\s*<(script|link)[^>]*(src|rel="stylesheet")[^>]*>(<\/script>)?/g, "")
        .replace("<head>", () => `<head>\n    ${head}`)
        .replace("</head>", () => `  <style>${style}</style>\n  </head>`)
        .replace("</body>", () => `  <script type="module">${script}</script>\n  </body>`) + licences();
    },
  };
}

// With npx vite, requests go on to this server.
const server = process.env.MINKE ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [woff2Only(), oneFile()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  server: { proxy: { "/v1": server, "/api": server } },
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: () => true,
    chunkSizeWarningLimit: 2000,
    reportCompressedSize: false,
  },
  test: { include: ["test/*.test.ts"], pool: "threads", poolOptions: { threads: { singleThread: true } } },
} as Parameters<typeof defineConfig>[0]);
