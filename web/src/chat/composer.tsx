import { useEffect, useRef, useState } from "preact/hooks";
import type { Pricing } from "../lib/api";
import { usages, type Conversation } from "../lib/conversation";
import { bill, formatCount, formatMoney } from "../lib/cost";
import { IconButton } from "../parts/icon_button";

interface Props {
  conversation: Conversation;
  pricing: Pricing;
  writing: boolean;
  ready: boolean; // a model is there to answer
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer({ conversation, pricing, writing, ready, onSend, onStop }: Props) {
  const [text, setText] = useState("");
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    // On a touch screen the focus would bring up the keyboard.
    if (matchMedia("(hover: hover)").matches) area.current?.focus();
  }, [conversation.id]);
  useEffect(() => {
    const e = area.current;
    if (!e) return;
    e.style.height = "auto";
    e.style.height = `${Math.min(e.scrollHeight, 240)}px`;
  }, [text]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && writing && !document.querySelector("dialog[open]")) onStop();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [writing, onStop]);

  const send = (): void => {
    if (!text.trim() || writing || !ready) return;
    onSend(text.trim());
    setText("");
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      <div class="composer-box">
        <textarea
          ref={area}
          rows={1}
          aria-label="Message"
          placeholder="Write a message"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), send());
          }}
        />
        {writing ? (
          <IconButton icon="stop" label="Stop" shortcut="Escape" class="round" onClick={onStop} />
        ) : (
          <IconButton
            icon="send"
            label="Send"
            shortcut="Enter"
            class="round"
            disabled={!text.trim() || !ready}
            onClick={send}
          />
        )}
      </div>
      <Totals conversation={conversation} pricing={pricing} />
    </form>
  );
}

function Totals({ conversation, pricing }: { conversation: Conversation; pricing: Pricing }) {
  const sum = bill(usages(conversation), pricing);
  const text =
    sum.output === 0
      ? "Enter sends, Shift+Enter begins a line"
      : `${formatCount(sum.input + sum.cached)} tokens in, ${formatCount(sum.output)} out` +
        `, ${formatMoney(sum.cost, pricing.currency)}`;
  return <p class="totals" title="This conversation">{text}</p>;
}
