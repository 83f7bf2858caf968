import { useRef } from "preact/hooks";
import type { ChatStore } from "../lib/chat_store";
import type { Conversation } from "../lib/conversation";
import { exportConversations, importConversations } from "../lib/transfer";
import { IconButton } from "../parts/icon_button";
import { Icon } from "../parts/icons";

interface Props {
  shown: boolean; // on a narrow screen, where it lies over the conversation
  store: ChatStore;
  conversations: Conversation[];
  current: string;
  onNew: () => void;
  onHide: () => void;
}

export function Sidebar({ shown, store, conversations, current, onNew, onHide }: Props) {
  return (
    <>
      {shown && <div class="shade" onClick={onHide} />}
      <aside class={shown ? "sidebar shown" : "sidebar"} aria-label="Conversations">
        <button type="button" class="new-chat" aria-keyshortcuts="Alt+N" title="Alt+N" onClick={onNew}>
          <Icon name="plus" /> New conversation
        </button>
        <ul class="conversations">
          {conversations.map((c) => (
            <li key={c.id} class={c.id === current ? "current" : ""}>
              <button
                type="button"
                aria-current={c.id === current ? "true" : undefined}
                onClick={() => (store.open(c.id), onHide())}
              >
                {c.title || "Untitled"}
              </button>
              <IconButton icon="trash" label={`Delete ${c.title}`} onClick={() => confirmRemoval(store, c)} />
            </li>
          ))}
        </ul>
        {conversations.length === 0 && <p class="faint">Conversations stay in this browser.</p>}
        <Transfer store={store} conversations={conversations} />
      </aside>
    </>
  );
}

function confirmRemoval(store: ChatStore, conversation: Conversation): void {
  if (confirm(`Delete "${conversation.title}"?`)) void store.remove(conversation.id);
}

function Transfer({ store, conversations }: { store: ChatStore; conversations: Conversation[] }) {
  const input = useRef<HTMLInputElement>(null);
  const read = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    try {
      await store.import(importConversations(await file.text()));
    } catch (error) {
      alert((error as Error).message);
    }
  };
  return (
    <div class="transfer">
      <button type="button" disabled={conversations.length === 0} onClick={() => download(conversations)}>
        Export
      </button>
      <button type="button" onClick={() => input.current?.click()}>Import</button>
      <input
        ref={input}
        hidden
        type="file"
        accept="application/json,.json"
        onChange={(event) => {
          void read(event.currentTarget.files?.[0]);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}

function download(conversations: Conversation[]): void {
  const url = URL.createObjectURL(new Blob([exportConversations(conversations)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `minke-conversations-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
