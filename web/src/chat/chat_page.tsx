import { useState } from "preact/hooks";
import type { Client, Model } from "../lib/api";
import type { ChatStore } from "../lib/chat_store";
import { effectivePricing } from "../lib/cost";
import { useShortcuts, useStore } from "../lib/hooks";
import type { Settings } from "../lib/settings";
import { IconButton } from "../parts/icon_button";
import { TopBar } from "../parts/top_bar";
import { Composer } from "./composer";
import { MessageList } from "./message_list";
import { SettingsDialog } from "./settings_dialog";
import { Sidebar } from "./sidebar";

interface Props {
  client: Client;
  store: ChatStore;
  models: Model[];
  problem: string;
  settings: Settings;
  change: (part: Partial<Settings>) => void;
}

export function ChatPage({ client, store, models, problem, settings, change }: Props) {
  const { conversations, current, writing, thinking, notice, ...state } = useStore(store);
  const [showSettings, setShowSettings] = useState(false);
  const [showList, setShowList] = useState(false);
  const model = models.find((m) => m.id === settings.model) ?? defaultModel(models);
  const pricing = effectivePricing(settings.pricing, model?.pricing);
  const name = model?.id ?? "";

  const startNew = (): void => (store.startNew(settings.system), setShowList(false), focusComposer());
  useShortcuts({
    KeyN: startNew,
    KeyS: () => setShowSettings(!showSettings),
    KeyC: () => setShowList(!showList),
    KeyR: () => (location.hash = "#runs"),
  });
  const trouble = state.problem || problem;
  return (
    <div class="page chat">
      <TopBar page="chat" settings={settings} change={change} onMenu={() => setShowList(!showList)}>
        <label class="model-choice">
          <span class="hidden">Model</span>
          <select value={name} onChange={(event) => change({ model: event.currentTarget.value })}>
            {models.length === 0 && <option value="">no model</option>}
            {models.map((m) => <option key={m.id} value={m.id}>{m.id}</option>)}
          </select>
        </label>
        <IconButton icon="settings" label="Settings" shortcut="Alt+S" onClick={() => setShowSettings(true)} />
      </TopBar>
      <Sidebar
        shown={showList}
        store={store}
        conversations={conversations}
        current={current.id}
        onNew={startNew}
        onHide={() => setShowList(false)}
      />
      <main>
        {trouble && (
          <p class="problem" role="alert">
            {trouble}
            {state.problem && <IconButton icon="close" label="Dismiss" onClick={store.dismiss} />}
          </p>
        )}
        <MessageList
          conversation={current}
          writing={writing}
          thinking={thinking}
          pricing={pricing}
          onEdit={(id, text) => void store.edit(id, text, client, name, settings)}
          onRegenerate={(id) => void store.regenerate(id, client, name, settings)}
        />
        <Composer
          conversation={current}
          pricing={pricing}
          writing={writing}
          ready={name !== ""}
          onSend={(text) => void store.send(text, client, name, settings)}
          onStop={store.stop}
        />
      </main>
      <div class="hidden" role="status" aria-live="polite">{thinking ? "Thinking" : notice}</div>
      {showSettings && (
        <SettingsDialog
          settings={settings}
          change={change}
          serverPricing={model?.pricing}
          system={current.system}
          onSystem={(system) => (change({ system }), store.setSystem(system))}
          onClose={() => setShowSettings(false)}
        />
      )}
    </div>
  );
}

// A model by its own name rather than by one of the names that DeepSeek's clients expect everywhere.
function defaultModel(models: Model[]): Model | undefined {
  return models.find((m) => m.id !== "deepseek-chat" && m.id !== "deepseek-reasoner") ?? models[0];
}

function focusComposer(): void {
  document.querySelector<HTMLTextAreaElement>(".composer textarea")?.focus();
}
