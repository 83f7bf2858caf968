import type { Pricing } from "../lib/api";
import type { Message } from "../lib/conversation";
import { bill, formatCount, formatMoney } from "../lib/cost";
import { IconButton } from "../parts/icon_button";
import { CopyButton } from "./copy_button";
import { MarkdownView } from "./markdown_view";
import { Reasoning } from "./reasoning";

interface Props {
  message: Message;
  pricing: Pricing;
  writing: boolean;
  thinking: boolean;
  onRegenerate?: () => void; // not while an answer is being written
}

export function Answer({ message, pricing, writing, thinking, onRegenerate }: Props) {
  const { content, reasoning, error, finish } = message;
  return (
    <article class="answer" aria-label="Answer" aria-busy={writing}>
      {reasoning && <Reasoning text={reasoning} thinking={thinking} seconds={message.thinkingSeconds} />}
      {content && <MarkdownView text={content} />}
      {writing && !content && !reasoning && <p class="waiting">Waiting for the first token</p>}
      {error && <p class="problem" role="alert">{error}</p>}
      {finish === "length" && <p class="faint">The answer reached the limit of tokens.</p>}
      {finish === "stopped" && <p class="faint">Stopped.</p>}
      {!writing && (
        <div class="tools">
          <CopyButton text={content} label="Copy answer" />
          {onRegenerate && <IconButton icon="again" label="Answer again" onClick={onRegenerate} />}
          <Cost message={message} pricing={pricing} />
        </div>
      )}
    </article>
  );
}

function Cost({ message, pricing }: { message: Message; pricing: Pricing }) {
  const { usage, answerSeconds, model } = message;
  if (!usage) return null;
  const { cached, output, cost } = bill([usage], pricing);
  const parts = [
    `${formatCount(usage.prompt_tokens)} in${cached ? ` (${formatCount(cached)} cached)` : ""}`,
    `${formatCount(output)} out`,
  ];
  // The first token comes with the prompt's work, so the rate counts those after it.
  if (answerSeconds && output > 1) parts.push(`${((output - 1) / answerSeconds).toFixed(1)} tokens/s`);
  if (cost > 0) parts.push(formatMoney(cost, pricing.currency));
  return <span class="cost" title={model}>{parts.join(" · ")}</span>;
}
