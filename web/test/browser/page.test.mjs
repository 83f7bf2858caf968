// The page in Chromium against minke serve with a tiny model: node --test page.test.mjs, with MINKE (the program),
// CHROMIUM, SOURCE (the repository) and SCREENSHOTS (a folder) in the environment.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findBarriers, launch, openPage, sizes } from "./browser.mjs";
import { addStep, makeModel } from "./model.mjs";
import * as rich from "./rich.mjs";
import { startServer } from "./server.mjs";

const { MINKE, CHROMIUM, SOURCE, SCREENSHOTS } = process.env;
const folder = mkdtempSync(join(tmpdir(), "minke-web-"));
let browser, server;

before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  makeModel(MINKE, SOURCE, folder);
  browser = await launch(CHROMIUM);
  server = await startServer(MINKE, [join(folder, "runs/tiny"), "--context", "32000", "--runs", join(folder, "runs")]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

const shot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
const button = (page, name) => page.getByRole("button", { name });
const message = (page) => page.getByLabel("Message", { exact: true });

async function ask(page, text) {
  await message(page).fill(text);
  await page.keyboard.press("Enter");
}

// The shortcut opens and closes, so each waits for what it did.
async function set(page, fields, thinking) {
  const anyField = page.getByLabel(Object.keys(fields)[0], { exact: true });
  await page.keyboard.press("Alt+KeyS");
  await anyField.waitFor();
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  if (thinking) await page.getByLabel("Thinking").selectOption(thinking);
  await page.keyboard.press("Escape");
  await anyField.waitFor({ state: "hidden" });
}

async function importRich(page) {
  await page.locator("input[type=file]").setInputFiles({
    name: "rich.json", mimeType: "application/json", buffer: Buffer.from(rich.file),
  });
  if (await button(page, "Conversations").isVisible()) await button(page, "Conversations").click();
  await button(page, "Sums of squares").first().click();
  await page.locator(".katex").first().waitFor();
}

async function finish(page) {
  assert.deepEqual(page.faults, []);
  await page.context().close();
}

test("asks, streams, counts, edits and asks again", async () => {
  const page = await openPage(browser, server.address, sizes.desktop);
  await page.locator("option", { hasText: "tiny" }).waitFor({ state: "attached" });  // models are asked for later
  assert.equal(await page.getByLabel("Model").inputValue(), "tiny");
  await shot(page, "empty");
  await set(page, { "Token limit": "30", Seed: "7", Input: "1", Output: "2" }, "off");

  await ask(page, "How many whales?");
  await button(page, "Answer again").waitFor();
  const first = await page.locator(".answer .prose").innerText();
  assert.notEqual(first, "");
  // How many tokens a model of random weights writes before it ends depends on the processor's rounding.
  const cost = await page.locator(".answer .cost").innerText();
  const [, out] = cost.match(/^[\d,]+ in.* · (\d+) out · .*tokens\/s · 0\.0\d+ USD$/) ?? assert.fail(cost);
  assert.ok(out >= 1 && out <= 30, cost);
  assert.match(await page.locator(".totals").innerText(), new RegExp(`tokens in, ${out} out, 0\\.0\\d+ USD`));

  await button(page, "Answer again").click();
  await button(page, "Answer again").waitFor();
  assert.equal(await page.locator(".answer").count(), 1);
  assert.equal(await page.locator(".answer .prose").innerText(), first, "the same seed, the same answer");

  await button(page, "Edit message").click();
  await page.getByLabel("Edit message").fill("How many ships?");
  await page.keyboard.press("Enter");
  await button(page, "Answer again").waitFor();
  assert.equal(await page.locator(".question .bubble").innerText(), "How many ships?");
  assert.equal(await page.locator(".answer").count(), 1);
  await finish(page);
});

test("shows thinking while it lasts and folds it away", async () => {
  const page = await openPage(browser, server.address, sizes.desktop);
  await set(page, { "Token limit": "30000", Temperature: "0" }, "on");
  await ask(page, "How many whales?");
  await page.locator(".thoughts .prose").waitFor();
  assert.equal(await button(page, "Thinking").getAttribute("aria-expanded"), "true");
  await page.keyboard.press("Escape");  // at once: the answer may end by itself
  await page.getByText("Stopped.").waitFor();
  const folded = button(page, /^Thought for/);
  assert.equal(await folded.getAttribute("aria-expanded"), "false");
  await folded.click();
  assert.notEqual(await page.locator(".thoughts").innerText(), "");
  await shot(page, "thinking");
  await finish(page);
});

test("shows formulas, code and tables; nothing in an answer runs or loads", async () => {
  for (const [name, size, colorScheme] of [
    ["light", sizes.desktop, "light"],
    ["dark", sizes.desktop, "dark"],
    ["telephone", sizes.telephone, "light"],
  ]) {
    const page = await openPage(browser, server.address, { ...size, colorScheme });
    await importRich(page);
    const text = await page.locator(".answer").innerText();
    assert.ok(text.includes("<script>window.broken = 1</script>"));
    assert.ok(text.includes('<img src=x onerror="window.broken = 1">'));
    assert.equal(await page.locator(".answer img, .answer script").count(), 0);
    assert.equal(await page.locator('a[href^="javascript"]').count(), 0);
    assert.equal(await page.evaluate("window.broken"), undefined);
    assert.equal(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "no sideways scrolling");

    await page.getByRole("button", { name: "Copy", exact: true }).click();
    assert.match(await page.evaluate("navigator.clipboard.readText()"), /^def sum_of_squares\(n: int\)[^]*range\(1, 11\)\)\n$/);
    await shot(page, `${name}-end`);
    await page.locator(".messages").evaluate((e) => e.scrollTo(0, 0));
    await shot(page, name);
    assert.deepEqual(await findBarriers(page), []);
    await finish(page);
  }
});

test("keeps conversations, gives them out and takes them back", async () => {
  const page = await openPage(browser, server.address, sizes.desktop);
  await importRich(page);
  await page.reload();
  await button(page, "Sums of squares").first().click();
  await page.locator(".katex").first().waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, "Export").click()]);
  const exported = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.deepEqual(exported, JSON.parse(rich.file));

  page.on("dialog", (dialog) => dialog.accept());
  await button(page, "Delete Sums of squares").click();
  await page.getByText("Conversations stay in this browser.").waitFor();
  await page.reload();
  await page.getByText("Conversations stay in this browser.").waitFor();
  await finish(page);
});

test("can be used by keyboard alone", async () => {
  const page = await openPage(browser, server.address, sizes.desktop);
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  await page.keyboard.press("Alt+KeyN");
  assert.equal(await focused(), "Message");
  await page.keyboard.press("Alt+KeyS");
  await page.getByRole("dialog").waitFor();
  await shot(page, "settings");
  assert.deepEqual(await findBarriers(page), []);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "what has the focus shows it");
  await page.keyboard.press("Alt+KeyR");
  await page.getByRole("group", { name: "Runs" }).waitFor();
  await finish(page);
});

test("plots runs while they go on", async () => {
  for (const [name, size, colorScheme] of [
    ["runs", sizes.desktop, "light"],
    ["runs-dark", sizes.desktop, "dark"],
    ["runs-telephone", sizes.telephone, "light"],
  ]) {
    const page = await openPage(browser, `${server.address}#runs`, { ...size, colorScheme });
    for (const run of ["tiny", "r1-zero"]) await page.getByRole("checkbox", { name: run }).check();
    await page.getByRole("figure", { name: /^Loss, nats per token. Latest: tiny \d/ }).waitFor();
    await page.getByRole("figure", { name: /^Validation, bits per byte. Latest: tiny \d/ }).waitFor();
    await page.getByRole("figure", { name: /^Cost.*tiny.*r1-zero|^Cost.*r1-zero.*tiny/ }).waitFor();
    await page.getByRole("img", { name: "Load of 8 experts in 2 layers" }).waitFor();
    await page.getByRole("region", { name: "Ledger" }).waitFor();
    await page.getByText("<script>alert(1)</script>").first().waitFor();
    await shot(page, name);
    assert.equal(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "no sideways scrolling");
    assert.deepEqual(await findBarriers(page), []);
    await finish(page);
  }

  const page = await openPage(browser, `${server.address}#runs`, sizes.desktop);
  await page.getByRole("checkbox", { name: "r1-zero" }).check();
  const reward = page.getByRole("figure", { name: /^Reward/ });
  const label = await reward.getAttribute("aria-label");
  addStep(join(folder, "runs/r1-zero"), 61);
  await page.waitForFunction((old) => !document.querySelector(`[aria-label="${old}"]`), label);
  assert.match(await reward.getAttribute("aria-label"), /Latest: r1-zero/);
  await finish(page);
});

test("asks for the key that the server wants", async () => {
  const guarded = await startServer(MINKE, [join(folder, "runs/tiny"), "--api-key", "secret-key"]);
  try {
    const page = await openPage(browser, guarded.address, sizes.desktop);
    await page.getByLabel("Key", { exact: true }).fill("wrong-key");
    await page.keyboard.press("Enter");
    await page.getByText("The server refused the key.").waitFor();
    await page.getByLabel("Key", { exact: true }).fill("secret-key");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("select")?.value === "tiny");
    await page.goto("about:blank");
    assert.equal(page.faults.filter((f) => !f.includes("401") && !f.includes("about:blank")).length, 0);
  } finally {
    await guarded.stop();
  }
});
