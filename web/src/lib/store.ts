// Conversations in the browser's IndexedDB.
import type { Conversation } from "./conversation";

const storeName = "conversations";

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's storage failed"));
  });
}

let opened: Promise<IDBDatabase> | undefined;

function database(): Promise<IDBDatabase> {
  if (!opened) {
    const request = indexedDB.open("minke", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(storeName, { keyPath: "id" });
    opened = settled(request);
  }
  return opened;
}

async function objects(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  return (await database()).transaction(storeName, mode).objectStore(storeName);
}

// Newest first.
export async function loadConversations(): Promise<Conversation[]> {
  const all: Conversation[] = await settled((await objects("readonly")).getAll());
  return all.sort((a, b) => b.updated.localeCompare(a.updated));
}

export async function saveConversation(conversation: Conversation): Promise<void> {
  await settled((await objects("readwrite")).put(conversation));
}

export async function deleteConversation(id: string): Promise<void> {
  await settled((await objects("readwrite")).delete(id));
}
