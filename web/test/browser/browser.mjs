// Chromium, and pages that remember what should not happen in them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const sizes = {
  desktop: { viewport: { width: 1200, height: 850 } },
  telephone: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

export function launch(executable) {
  return chromium.launch({ executablePath: executable, args: ["--no-sandbox"] });
}

// page.faults: errors and warnings of the console, exceptions, refusals by the policy, requests to other hosts.
export async function openPage(browser, address, options) {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(address).origin });
  const page = await context.newPage();
  page.setDefaultTimeout(60000);
  page.faults = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && page.faults.push(m.text()));
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(new URL(address).origin) && !/^(data|blob):/.test(url)) page.faults.push(`request to ${url}`);
  });
  await page.goto(address);
  return page;
}

// What axe-core finds wrong for people who read with the keyboard, a screen reader, or weak eyes.
export async function findBarriers(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")}: ${n.failureSummary}`));
}
