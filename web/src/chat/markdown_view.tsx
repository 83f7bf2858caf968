// Shows Markdown block by block, so that while an answer grows only its last block is drawn again.
import type { Token } from "marked";
import { memo } from "./memo";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { decorate } from "../lib/decorate";
import { renderBlock, splitBlocks } from "../lib/markdown";

export function MarkdownView({ text }: { text: string }) {
  const blocks = useMemo(() => splitBlocks(text), [text]);
  return (
    <div class="prose">
      {blocks.map((token, i) => <Block key={i} token={token} />)}
    </div>
  );
}

const Block = memo(
  function Block({ token }: { token: Token }) {
    const box = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => {
      const fragment = renderBlock(token);
      decorate(fragment);
      box.current?.replaceChildren(fragment);
    });
    return <div class="block" ref={box} />;
  },
  (a, b) => a.token.raw === b.token.raw,
);
