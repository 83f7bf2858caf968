import { useState } from "preact/hooks";
import type { Message } from "../lib/conversation";
import { IconButton } from "../parts/icon_button";
import { CopyButton } from "./copy_button";

interface Props {
  message: Message;
  disabled: boolean; // while an answer is being written
  onEdit: (text: string) => void;
}

export function Question({ message, disabled, onEdit }: Props) {
  const [draft, setDraft] = useState<string>();
  if (draft !== undefined) {
    const send = (): void => {
      if (!draft.trim()) return;
      setDraft(undefined);
      onEdit(draft.trim());
    };
    return (
      <form class="question editing" onSubmit={(event) => (event.preventDefault(), send())}>
        <textarea
          aria-label="Edit message"
          autofocus
          rows={Math.min(12, draft.split("\n").length + 1)}
          value={draft}
          onInput={(event) => setDraft(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") setDraft(undefined);
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), send());
          }}
        />
        <div class="buttons">
          <button type="button" onClick={() => setDraft(undefined)}>Cancel</button>
          <button type="submit" class="primary">Ask again</button>
        </div>
      </form>
    );
  }
  return (
    <article class="question" aria-label="You">
      <div class="bubble">{message.content}</div>
      <div class="tools">
        <CopyButton text={message.content} label="Copy message" />
        <IconButton
          icon="edit"
          label="Edit message"
          disabled={disabled}
          onClick={() => setDraft(message.content)}
        />
      </div>
    </article>
  );
}
