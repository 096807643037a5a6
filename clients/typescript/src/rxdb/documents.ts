/**
 * Between RxDB's documents and drey's: the primary key is the entity's id, one field holds the version, the rest is the value.
 */
import type { RxCollection, WithDeleted } from "rxdb";
import type { Message, Value } from "../api/types.ts";
import { entityOf } from "../pull/apply.ts";

/** Which members of a document are not part of its value. */
export interface Shape {
  primary: string;
  /** Number; what was last read of the server. A new document has none. */
  version: string;
}

/** Where documents are kept, and which entities they are. */
export interface Kept<T> {
  collection: RxCollection<T>;
  entityType: string;
  shape: Shape;
}

export function shapeOf<T>(collection: RxCollection<T>, version: string): Shape {
  const { primaryPath, jsonSchema } = collection.schema;
  if (!(version in jsonSchema.properties)) {
    throw new TypeError(`the schema of ${collection.name} needs the number "${version}" for drey's versions`);
  }
  if (jsonSchema.attachments) {
    throw new TypeError(`the collection ${collection.name} has attachments, which drey does not keep`);
  }
  return { primary: String(primaryPath), version };
}

/** The document without what RxDB and this handler have added; null if it is deleted. */
export function contentOf<T>(document: WithDeleted<T>, shape: Shape): Value | null {
  return document._deleted ? null : membersOf(document, shape);
}

function membersOf<T>(document: T, { primary, version }: Shape): Value {
  const { [primary]: _id, [version]: _version, _deleted, ...value } = document as Record<string, unknown>;
  for (const name of ["_attachments", "_meta", "_rev"]) delete value[name];
  return value;
}

export function idOf<T>(document: T, { primary }: Shape): string {
  return String((document as Record<string, unknown>)[primary]);
}

/** The version that the document was made from; null for a new one. */
export function versionOf<T>(document: T | undefined, { version }: Shape): number | null {
  return Number((document as Record<string, unknown> | undefined)?.[version] ?? 0) || null;
}

/** What stands on the server, null if that is deleted. A deleted document keeps what it last had: RxDB holds it to the schema too. */
export function documentOf<T>(
  before: T,
  version: number,
  value: Value | null | undefined,
  shape: Shape,
): WithDeleted<T> {
  const members = value ?? membersOf(before, shape);
  const document = { ...members, [shape.primary]: idOf(before, shape), [shape.version]: version };
  return { ...document, _deleted: !value } as unknown as WithDeleted<T>;
}

/**
 * Of those of one entity type, the newest state of each. What is deleted and was never here, nor is in `coming`, is left out.
 */
export async function documentsOf<T>(
  messages: Message[],
  kept: Kept<T>,
  coming: ReadonlyMap<string, WithDeleted<T>>,
): Promise<WithDeleted<T>[]> {
  const { entityType, shape } = kept;
  const newest = new Map<string, Message>();
  for (const message of messages.filter(({ type }) => type === entityType)) {
    newest.set(entityOf(message).id, message);
  }
  const deleted = [...newest].filter(([, { value }]) => !value).map(([id]) => id);
  const stored = await storedOf(deleted, kept);
  return [...newest].flatMap(([id, { value, headers }]) => {
    const before = value ? ({ [shape.primary]: id } as T) : (coming.get(id) ?? stored.get(id));
    return before ? [documentOf(before, headers.version, value, shape)] : [];
  });
}

/** By id, also what is deleted here: the answer to a push that is on its way can bring it back. */
export async function storedOf<T>(ids: string[], { collection, shape }: Kept<T>): Promise<Map<string, T>> {
  if (ids.length === 0) return new Map();
  const stored = (await collection.storageInstance.findDocumentsById(ids, true)) as T[];
  return new Map(stored.map((document) => [idOf(document, shape), document]));
}
