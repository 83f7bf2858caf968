// The model's thinking: open while it thinks, folded afterwards, unless the reader chose otherwise.
import { useEffect, useRef, useState } from "preact/hooks";
import { MarkdownView } from "./markdown_view";

interface Props {
  text: string;
  thinking: boolean;
  seconds?: number;
}

export function Reasoning({ text, thinking, seconds }: Props) {
  const [chosen, setChosen] = useState<boolean>();
  const open = chosen ?? thinking;
  const body = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (thinking) body.current?.scrollTo({ top: body.current.scrollHeight });
  }, [text, thinking]);
  const done = seconds === undefined ? "Thoughts" : `Thought for ${formatSeconds(seconds)}`;
  return (
    <section class="reasoning">
      <button type="button" aria-expanded={open} onClick={() => setChosen(!open)}>
        <span class={thinking ? "pulse" : ""}>{thinking ? "Thinking" : done}</span>
      </button>
      {open && (
        <div class="thoughts" ref={body}>
          <MarkdownView text={text} />
        </div>
      )}
    </section>
  );
}

function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
