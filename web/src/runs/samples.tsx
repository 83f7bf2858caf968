// Answers that a run wrote while it learned, as plain text.
import { useState } from "preact/hooks";
import type { ShownRun } from "./shown_run";

const pageSize = 8;

export function Samples({ run }: { run: ShownRun }) {
  const [count, setCount] = useState(pageSize);
  const newest = [...run.samples.lines].reverse();
  if (newest.length === 0) return null;
  return (
    <section class="samples">
      <h2>
        Example answers <span class="faint">{run.name}</span>
      </h2>
      {newest.slice(0, count).map((sample, i) => <Sample key={newest.length - i} sample={sample} />)}
      {newest.length > count && (
        <button type="button" onClick={() => setCount(count + pageSize)}>Show more</button>
      )}
    </section>
  );
}

const texts = ["prompt", "question", "reasoning", "answer", "completion", "text"];

function Sample({ sample }: { sample: Record<string, unknown> }) {
  const entries = Object.entries(sample);
  const long = entries.filter(([name, value]) => texts.includes(name) && typeof value === "string");
  const short = entries.filter(([, value]) => typeof value === "number" || typeof value === "boolean");
  const others = entries.filter(
    ([name, value]) => typeof value === "string" && !texts.includes(name) && value.length < 80,
  );
  return (
    <article class="sample">
      <header>
        {[...short, ...others].map(([name, value]) => (
          <span key={name}>
            <span class="faint">{name.replaceAll("_", " ")}</span> {shorten(value)}
          </span>
        ))}
      </header>
      {long.map(([name, value]) => (
        <div key={name} class={`sample-text ${name}`}>
          <span class="faint">{name}</span>
          <pre tabIndex={0}>{String(value)}</pre>
        </div>
      ))}
    </article>
  );
}

function shorten(value: unknown): string {
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value);
}
