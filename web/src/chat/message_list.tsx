import { useEffect, useRef, useState } from "preact/hooks";
import type { Pricing } from "../lib/api";
import type { Conversation } from "../lib/conversation";
import { IconButton } from "../parts/icon_button";
import { Whale } from "../parts/icons";
import { Answer } from "./answer";
import { Question } from "./question";

interface Props {
  conversation: Conversation;
  writing: boolean;
  thinking: boolean;
  pricing: Pricing;
  onEdit: (id: string, text: string) => void;
  onRegenerate: (id: string) => void;
}

export function MessageList({ conversation, writing, thinking, pricing, onEdit, onRegenerate }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const toEnd = (): void => box.current?.scrollTo({ top: box.current.scrollHeight });
  useEffect(() => {
    if (atEnd) toEnd();
  }, [conversation, atEnd]);
  useEffect(() => (setAtEnd(true), toEnd()), [conversation.id, conversation.messages.length]);
  const onScroll = (): void => {
    const e = box.current;
    if (e) setAtEnd(e.scrollHeight - e.scrollTop - e.clientHeight < 60);
  };

  const { messages } = conversation;
  return (
    <div class="messages" ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label="Conversation">
      {messages.length === 0 ? <Welcome /> : <h1 class="hidden">{conversation.title}</h1>}
      <div class="column">
        {messages.map((m, i) =>
          m.role === "user" ? (
            <Question key={m.id} message={m} disabled={writing} onEdit={(text) => onEdit(m.id, text)} />
          ) : (
            <Answer
              key={m.id}
              message={m}
              pricing={pricing}
              writing={writing && i === messages.length - 1}
              thinking={thinking && i === messages.length - 1}
              onRegenerate={writing ? undefined : () => onRegenerate(m.id)}
            />
          ),
        )}
      </div>
      {!atEnd && <IconButton icon="down" label="To the end" class="to-end" onClick={() => setAtEnd(true)} />}
    </div>
  );
}

function Welcome() {
  return (
    <div class="welcome">
      <Whale />
      <h1>What shall we think about?</h1>
      <p>The model runs on this server. Nothing that you write leaves it.</p>
    </div>
  );
}
